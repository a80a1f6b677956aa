"""What the model answers to the spec's sample_prompts, said as `sample` events: one sees it learn.

Greedy, so that nothing is drawn; the random generators are put back by the caller all the same.
"""

from __future__ import annotations

from typing import Any

from .attempt import Attempt
from .chat import TemplateError, turn_end


class Samples:
    """The prompts of one run and the step they were last answered at."""

    def __init__(self, attempt: Attempt, tokenizer: Any):
        self.attempt, self.tokenizer = attempt, tokenizer
        self._said: int | None = None

    def say(self, model: Any, accelerator: Any, step: int) -> None:
        """Answer every prompt with the model as it stands at `step`, unless that was done. Ends at once when asked to stop."""
        prompts = self.attempt.config.sample_prompts
        if not prompts or self._said == step:
            return
        self._said = step
        training = model.training
        model.eval()
        try:
            for prompt in prompts:
                text = self._answer(model, accelerator, prompt)
                if text is None:
                    return
                self.attempt.events.emit("sample", step=step, prompt=prompt, text=text)
        finally:
            model.train(training)

    def _answer(self, model: Any, accelerator: Any, prompt: str) -> str | None:
        """The continuation of one prompt; None when the run was asked to stop meanwhile."""
        import torch

        ids = self._tokens(prompt, model)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        with torch.no_grad(), accelerator.autocast():
            found = model.generate(
                **inputs,
                generation_config=self._settings(),
                stopping_criteria=[lambda rows, scores, **_: _all(rows, self._stopped())],
            )
        if self._stopped():
            return None
        return self.tokenizer.decode(found[0, ids.shape[1] :], skip_special_tokens=True).strip()

    def _stopped(self) -> bool:
        """Whether any rank was asked to stop: they leave together."""
        return self.attempt.world.any(self.attempt.stop.requested())

    def _settings(self) -> Any:
        from transformers import GenerationConfig

        tokenizer, closing = self.tokenizer, turn_end(self.tokenizer)
        ends = {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(closing) if closing else None} - {None}
        return GenerationConfig(
            do_sample=False,
            max_new_tokens=self.attempt.config.sample_max_new_tokens,
            eos_token_id=sorted(ends) or None,
            pad_token_id=tokenizer.pad_token_id,
            use_cache=True,
        )

    def _tokens(self, prompt: str, model: Any) -> Any:
        """The prompt as the run's data looks: a user's message, or plain text to go on with. Cut from the left to leave room."""
        chat = self.attempt.spec.data.kind != "text" and self.tokenizer.chat_template
        text = self._asked(prompt) if chat else prompt
        ids = self.tokenizer(text, add_special_tokens=not chat, return_tensors="pt")["input_ids"]
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        room = max(1, context - self.attempt.config.sample_max_new_tokens) if context else ids.shape[1]
        return ids[:, -room:].to(model.device)

    def _asked(self, prompt: str) -> str:
        try:
            return self.tokenizer.apply_chat_template(
                [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
            )
        except Exception as error:  # the template is a program of the model's author
            raise TemplateError(f"The chat template refuses a sample prompt: {error}") from error


def _all(rows: Any, value: bool) -> Any:
    import torch

    return torch.full((rows.shape[0],), value, dtype=torch.bool, device=rows.device)
