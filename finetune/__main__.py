"""`python -m finetune`: the command line (docs/cli.md)."""

import sys

from finetune.cli.main import main

sys.exit(main(sys.argv[1:]))
