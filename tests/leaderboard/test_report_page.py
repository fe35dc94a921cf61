"""The page and the command line of a report."""

from html.parser import HTMLParser

import pytest

from maskstack.cli.main import main
from maskstack.leaderboard.report import make_report


class Outline(HTMLParser):
    """What a page fetches, runs and heads."""

    def __init__(self):
        super().__init__()
        self.fetched, self.scripts, self.headings, self.tags = [], 0, [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.scripts += tag == "script"
        self.fetched += [value for name, value in attributes if name in ("src", "href") and not value.startswith("#")]

    def handle_data(self, data):
        self.headings.append(data)


def test_the_page_holds_everything_and_fetches_nothing(run):
    text = make_report([run]).page.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.fetched == []
    assert "url(" not in text
    assert outline.scripts == 0
    assert {"table", "caption", "svg", "h1", "h2"} <= outline.tags
    for method in ("mdm", "gradcam", "rise", "random", "lime"):
        assert method in text
    assert "<b>memory</b>" not in text
    assert "--maps" in text


def test_the_command_line_prints_the_table_and_names_the_files(run, capsys):
    assert main(["report", str(run)]) == 0
    message = capsys.readouterr().out
    assert "first on" in message
    assert "report.html" in message
    assert (run / "report" / "summary.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--reference", "mmd"], "mmd"),
        (["--methods", "mdm,nothing"], "'nothing' was not measured"),
    ],
)
@pytest.mark.slow
def test_what_was_not_measured_is_a_sentence(run, capsys, arguments, message):
    assert main(["report", str(run), *arguments]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_folder_without_a_run_is_a_sentence(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no run" in " ".join(capsys.readouterr().err.split())
