"""Reads a report back: its tables as English text, its titles and addresses."""

from html.parser import HTMLParser
from pathlib import Path

from ymir_local.report import write_report


class Page(HTMLParser):
    """What stands in a report: tables as English text, titles, addresses."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.html = file.read_text(encoding='utf-8')
        self.tables, self.addresses, self.text, self.skip, self.in_cell = [], [], [], 0, False
        self.feed(self.html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.skip += bool(self.skip) or attrs.get('class') == 'zh' if tag in ('span', 'tspan') else 0
        self.addresses += [attrs[name] for name in ('src', 'href') if name in attrs]
        if tag == 'table':
            self.tables.append([])
        elif tag == 'tr':
            self.tables[-1].append([])
        elif tag in ('td', 'th'):
            self.tables[-1][-1].append('')
            self.in_cell = True

    def handle_endtag(self, tag):
        if tag in ('span', 'tspan') and self.skip:
            self.skip -= 1
        self.in_cell = self.in_cell and tag not in ('td', 'th')

    def handle_data(self, data):
        if not self.skip:
            self.text.append(data)
            if self.in_cell:
                self.tables[-1][-1][-1] += data

    def table(self, first: str):
        return next(table for table in self.tables if table[0][0] == first)


def report(task, tmp_path, **options) -> Page:
    return Page(write_report(task.out_dir, tmp_path / 'report.html', **options))
