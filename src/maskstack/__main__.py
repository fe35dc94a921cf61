"""``python -m maskstack``: the command line if its script is not on the path."""

from maskstack.cli.main import run

if __name__ == "__main__":
    run()
