"""The JSON forms of what the Hugging Face Hub has."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from finetune.core.hub_models import SORTS
from models_app.hub_view import VERDICTS
from models_app.popular import USES
from models_app.services.describe_hub_model import Described
from models_app.services.search_hub import MAX_LIMIT, SIZES


class SearchSerializer(serializers.Serializer):
    """A search of the Hub; every empty value does not narrow."""

    q = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="Words in the repository's name.")
    limit = serializers.IntegerField(default=20, min_value=1, max_value=MAX_LIMIT)
    page = serializers.IntegerField(default=1, min_value=1)
    sort = serializers.ChoiceField(list(SORTS), default="downloads")
    task = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="For example text-generation.")
    size = serializers.ChoiceField(list(SIZES), required=False, allow_blank=True, help_text="By number of parameters.")
    license = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="For example apache-2.0.")
    library = serializers.CharField(required=False, allow_blank=True, max_length=200, help_text="For example transformers.")
    author = serializers.CharField(required=False, allow_blank=True, max_length=200)


class MethodFitSerializer(serializers.Serializer):
    """One method with its default options; dpo, orpo, kto and pretrain over LoRA."""

    method = serializers.CharField()
    verdict = serializers.ChoiceField(VERDICTS)
    needed_bytes = serializers.IntegerField(allow_null=True, help_text="Expected peak, one row of 512 tokens at a time.")


class DeviceFitSerializer(serializers.Serializer):
    """How each method fits one kind of device of this machine."""

    name = serializers.CharField()
    count = serializers.IntegerField(help_text="How many such devices there are.")
    memory_bytes = serializers.IntegerField(allow_null=True)
    methods = MethodFitSerializer(many=True)


class HubModelSerializer(serializers.Serializer):
    """A repository of the Hub, with what it would mean here."""

    repo_id = serializers.CharField()
    author = serializers.CharField()
    downloads = serializers.IntegerField(allow_null=True)
    likes = serializers.IntegerField(allow_null=True)
    updated_at = serializers.DateTimeField(allow_null=True)
    task = serializers.CharField()
    library = serializers.CharField()
    parameters = serializers.IntegerField(allow_null=True, help_text="Null where it has no safetensors weights to count.")
    weight_bytes = serializers.IntegerField(allow_null=True, help_text="What its weights take on the disk.")
    context_length = serializers.IntegerField(
        allow_null=True, help_text="Tokens it reads at once; null where its configuration can't be read."
    )
    gated = serializers.BooleanField()
    private = serializers.BooleanField()
    license = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    architecture = serializers.CharField()
    trainable = serializers.BooleanField()
    reason = serializers.CharField(help_text="Why it can't be fine-tuned here; empty when it can.")
    fit = serializers.ChoiceField(
        VERDICTS, help_text="Whether a LoRA run fits the device that would be used here; tight also where only QLoRA does."
    )
    fit_words = serializers.CharField()
    devices = DeviceFitSerializer(many=True, help_text="The same for each method and kind of device; a run would use the first.")
    local = serializers.BooleanField(help_text="Its files are here, and yours to use.")
    model_id = serializers.IntegerField(allow_null=True, help_text="Your model made of it.")
    use = serializers.ChoiceField(list(USES), allow_blank=True, help_text="What the curated list recommends it for; else empty.")


class HubResultsSerializer(serializers.Serializer):
    results = HubModelSerializer(many=True)
    page = serializers.IntegerField()
    more = serializers.BooleanField(help_text="There is a next page.")


class PopularSerializer(serializers.Serializer):
    results = HubModelSerializer(many=True)
    live = serializers.BooleanField(
        help_text="False: the Hub did not answer or has none of them, so downloads and likes are missing."
    )


class HubFileSerializer(serializers.Serializer):
    path = serializers.CharField()
    bytes = serializers.IntegerField()
    sha256 = serializers.CharField(help_text="Empty for small files.")


class HubInfoSerializer(HubModelSerializer):
    """The same and its files, as a download would fetch them."""

    commit = serializers.CharField()
    files = HubFileSerializer(many=True)
    bytes = serializers.IntegerField()
    chat_template = serializers.BooleanField()
    card = serializers.CharField(help_text="HTML that is safe to show; it loads nothing.")
    url = serializers.CharField()

    def to_representation(self, instance: Described) -> dict[str, Any]:
        merged = {**vars(instance.shown), **{name: value for name, value in vars(instance).items() if name != "shown"}}
        return super().to_representation(merged)


class DownloadSerializer(serializers.Serializer):
    repo_id = serializers.CharField(max_length=300)
    revision = serializers.CharField(max_length=64, required=False, allow_blank=True, default="")
    name = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class PushSerializer(serializers.Serializer):
    """Where to push a model, and how."""

    repo_id = serializers.CharField(max_length=200, help_text="owner/name; the owner is you or an organisation of yours.")
    private = serializers.BooleanField(default=True)
    merge = serializers.BooleanField(default=False, help_text="An adapter: push it merged into its base model.")
    commit_message = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
