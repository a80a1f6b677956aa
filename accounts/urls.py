"""This app's routes."""

from django.urls import path

from accounts import access_api, access_pages, connection_api, connection_pages, notice_pages
from accounts import api as views
from accounts import pages as web

pages = [
    path("sign-in", web.sign_in, name="sign-in"),
    path("sign-out", web.sign_out, name="sign-out"),
    path("register", web.register, name="register"),
    path("settings", web.settings, name="settings"),
    path("settings/profile", web.profile, name="settings-profile"),
    path("settings/theme", web.theme, name="settings-theme"),
    path("settings/password", web.password, name="settings-password"),
    path("settings/connections", connection_pages.connections, name="settings-connections"),
    path("settings/token", connection_pages.token, name="settings-token"),
    path("settings/modal", connection_pages.modal, name="settings-modal"),
    path("settings/modal/delete", connection_pages.modal_delete, name="settings-modal-delete"),
    path("settings/modal/validate", connection_pages.modal_validate, name="settings-modal-validate"),
    path("settings/token/validate", connection_pages.token_validate, name="settings-token-validate"),
    path("settings/token/delete", connection_pages.token_delete, name="settings-token-delete"),
    path("settings/trackers/<slug:kind>", connection_pages.tracker, name="settings-tracker"),
    path("settings/trackers/<slug:kind>/validate", connection_pages.tracker_validate, name="settings-tracker-validate"),
    path("settings/trackers/<slug:kind>/delete", connection_pages.tracker_delete, name="settings-tracker-delete"),
    path("settings/sessions", access_pages.sessions, name="settings-sessions"),
    path("settings/sessions/end-others", access_pages.end_others, name="settings-sessions-end-others"),
    path("settings/sessions/<int:pk>/end", access_pages.end_session, name="settings-session-end"),
    path("settings/sign-ins/<int:pk>/end", access_pages.end_family, name="settings-family-end"),
    path("notifications", notice_pages.notifications, name="notifications"),
    path("notifications/read", notice_pages.read, name="notifications-read"),
    path("settings/notifications", notice_pages.channels, name="settings-notifications"),
    path("settings/notifications/save", notice_pages.save, name="settings-notifications-save"),
    path("settings/notifications/test", notice_pages.test, name="settings-notifications-test"),
    path("settings/api-keys", access_pages.api_keys, name="settings-api-keys"),
    path("settings/api-keys/new", access_pages.create_key, name="settings-api-key-new"),
    path("settings/api-keys/<int:pk>/revoke", access_pages.revoke_key, name="settings-api-key-revoke"),
]
api = [
    path("register", views.RegisterView.as_view(), name="api-register"),
    path("login", views.LoginView.as_view(), name="api-login"),
    path("refresh", views.RefreshView.as_view(), name="api-refresh"),
    path("logout", views.LogoutView.as_view(), name="api-logout"),
    path("me", views.MeView.as_view(), name="api-me"),
    path("change-password", views.ChangePasswordView.as_view(), name="api-change-password"),
    path("hf-token", views.HfTokenView.as_view(), name="api-hf-token"),
    path("api-keys", access_api.ApiKeysView.as_view(), name="api-keys"),
    path("api-keys/<int:pk>", access_api.ApiKeyView.as_view(), name="api-key"),
    path("modal-tokens", views.ModalTokensView.as_view(), name="api-modal-tokens"),
    path("modal-tokens/validate", connection_api.ModalValidateView.as_view(), name="api-modal-tokens-validate"),
    path("trackers/<slug:kind>", connection_api.TrackerView.as_view(), name="api-tracker"),
    path("trackers/<slug:kind>/validate", connection_api.TrackerValidateView.as_view(), name="api-tracker-validate"),
    path("hf-token/validate", views.HfTokenValidateView.as_view(), name="api-hf-token-validate"),
]
websocket: list = []
