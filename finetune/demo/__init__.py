"""`make demo`: the main job, headless, through the real stack. A client of the API like any other; it imports none of the apps."""
