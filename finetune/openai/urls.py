"""The routes of /v1."""

from django.urls import path

from finetune.openai import chat, files, jobs, tuned

api = [
    path("files", files.FilesView.as_view(), name="v1-files"),
    path("files/<str:ref>", files.FileView.as_view(), name="v1-file"),
    path("files/<str:ref>/content", files.FileContentView.as_view(), name="v1-file-content"),
    path("fine_tuning/jobs", jobs.JobsView.as_view(), name="v1-jobs"),
    path("fine_tuning/jobs/<str:ref>", jobs.JobView.as_view(), name="v1-job"),
    path("fine_tuning/jobs/<str:ref>/cancel", jobs.CancelView.as_view(), name="v1-job-cancel"),
    path("fine_tuning/jobs/<str:ref>/events", jobs.EventsView.as_view(), name="v1-job-events"),
    path("fine_tuning/jobs/<str:ref>/checkpoints", jobs.CheckpointsView.as_view(), name="v1-job-checkpoints"),
    path("models", tuned.ModelsView.as_view(), name="v1-models"),
    path("models/<path:ref>", tuned.ModelView.as_view(), name="v1-model"),
    path("chat/completions", chat.ChatCompletionsView.as_view(), name="v1-chat"),
]
