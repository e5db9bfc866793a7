"""``python -m l0bayes`` is the ``l0bayes`` command."""

from l0bayes.cli import main

if __name__ == "__main__":
    main()
