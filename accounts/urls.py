"""This app's routes."""

from django.urls import path

from accounts import api as views
from accounts import pages as web

pages = [
    path("sign-in", web.sign_in, name="sign-in"),
    path("sign-out", web.sign_out, name="sign-out"),
    path("register", web.register, name="register"),
    path("settings", web.settings, name="settings"),
    path("settings/profile", web.profile, name="settings-profile"),
    path("settings/password", web.password, name="settings-password"),
    path("settings/token", web.token, name="settings-token"),
    path("settings/token/validate", web.token_validate, name="settings-token-validate"),
    path("settings/token/delete", web.token_delete, name="settings-token-delete"),
]
api = [
    path("register", views.RegisterView.as_view(), name="api-register"),
    path("login", views.LoginView.as_view(), name="api-login"),
    path("refresh", views.RefreshView.as_view(), name="api-refresh"),
    path("logout", views.LogoutView.as_view(), name="api-logout"),
    path("me", views.MeView.as_view(), name="api-me"),
    path("change-password", views.ChangePasswordView.as_view(), name="api-change-password"),
    path("hf-token", views.HfTokenView.as_view(), name="api-hf-token"),
    path("hf-token/validate", views.HfTokenValidateView.as_view(), name="api-hf-token-validate"),
]
websocket: list = []
