"""This app's routes."""

pages: list = []
api: list = []
websocket: list = []
