"""/v1: what programs written for OpenAI's API expect, over the same verbs as our own API. Point their `base_url` here."""
