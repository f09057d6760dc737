"""A headless Chromium: what a page shows, says and asks for."""

import json
import os
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import NamedTuple

NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-default-apps',
    '--no-pings',
    '--disable-dev-shm-usage',
    '--hide-scrollbars',
    '--no-proxy-server',
    '--host-resolver-rules=MAP * ~NOTFOUND',
)  # nothing leaves the machine
# Runs after the page's own script and leaves what it found as text of the document.
PROBE = """<script>
const copies = [...document.querySelectorAll('image')].map((image) => {
  const copy = new Image();  // delays the load event of the page until it has loaded or failed
  copy.src = image.getAttribute('href');
  return copy;
});
addEventListener('load', () => {
  const shown = (element) => { const box = element.getBoundingClientRect(); return box.width > 1 && box.height > 1; };
  const pictures = [...document.querySelectorAll('svg.picture')];
  const result = {
    images: copies.length, decoded: copies.filter((copy) => copy.naturalWidth > 0).length,
    pictures: pictures.length, shown: pictures.filter(shown).length,
    filled: pictures.filter((p) => p.querySelector('use').getBBox().width > 0).length,
    charts: document.querySelectorAll('svg.chart').length,
    drawn: [...document.querySelectorAll('svg.chart')].filter(shown).length,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    text: document.querySelector('main').innerText,
    background: getComputedStyle(document.body).backgroundColor,
    faint: contrasts(),
    title: document.title,
    hover: [...document.querySelectorAll('svg title')].map((title) => title.textContent),
    ap50: [...document.querySelectorAll('#classes td:nth-child(6)')].map((cell) => cell.textContent),
  };
  const place = document.createElement('pre');
  place.id = 'probe';
  place.textContent = JSON.stringify(result);
  document.body.append(place);
  parent.postMessage(place.textContent, '*');
});
function contrasts() {  // texts of the page whose contrast with what is behind them is below 4.5
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const parse = (text) => (text.match(/[0-9.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const element of document.querySelectorAll('main *, header *, footer')) {
    if (element.closest('.picture') || !element.checkVisibility()) continue;
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || element.closest('title')) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(element.closest('svg') ? style.fill : style.color)), light(behind(element))];
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) found.add(element.tagName + '.' + element.className);
  }
  return [...found];
}
</script>"""
# A window is at least 500 pixels wide, a frame in it is not.
FRAME = """<!DOCTYPE html><iframe src="page.html" style="width: {}px; height: 900px; border: 0"></iframe><script>
addEventListener('message', (event) => {{
  const place = document.createElement('pre');
  place.id = 'probe';
  place.textContent = event.data;
  document.body.append(place);
}});
</script>"""
MIN_WINDOW = 500


class Visit(NamedTuple):
    """What a browser found.

    Args:
        probe: see PROBE.
        console: messages of the console.
        requests: addresses that a page asked for.
    """

    probe: dict
    console: list[str]
    requests: list[str]


def find() -> str | None:
    """The browser; None if there is none."""
    named = os.environ.get('YMIR_TEST_CHROMIUM')
    return named or next((path for path in map(shutil.which, NAMES) if path), None)


def visit(file: Path, folder: Path, language: str = 'en-US', dark: bool = False, width: int = 1280) -> Visit:
    """Opens a copy of a page with the probe in it.

    Args:
        file: the page.
        folder: an empty one for the browser's profile and logs.
        language: of the browser.
        dark: prefer the dark scheme.
        width: of the window in pixels, or of a frame in it.
    """
    folder.mkdir(parents=True)
    page, net_log = folder / 'page.html', folder / 'net.json'
    page.write_text(file.read_text(encoding='utf-8').replace('</body>', PROBE + '</body>'), encoding='utf-8')
    if width < MIN_WINDOW:
        (folder / 'frame.html').write_text(FRAME.format(width), encoding='utf-8')
    command = [
        find(),
        *FLAGS,
        f'--user-data-dir={folder / "profile"}',
        f'--window-size={width},900',
        f'--lang={language}',
        f'--accept-lang={language}',
        '--enable-logging=stderr',
        f'--log-net-log={net_log}',
        '--virtual-time-budget=20000',
        *(['--blink-settings=preferredColorScheme=0'] if dark else []),
        '--dump-dom',
        (folder / 'frame.html' if width < MIN_WINDOW else page).as_uri(),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env=dict(os.environ, LANGUAGE=language.replace('-', '_'))
    )
    start = done.stdout.rfind('<pre id="probe">')
    assert start > 0, f'the page did not come to its end: {done.stdout[-300:]} {done.stderr[-2000:]}'
    probe = json.loads(unescape(done.stdout[start + len('<pre id="probe">') :].partition('</pre>')[0]))
    console = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
    return Visit(probe, console, _requests(net_log))


def _requests(net_log: Path) -> list[str]:
    """What a page asked for; what the browser asks for itself has no origin in the log."""
    found = []
    for line in net_log.read_text(encoding='utf-8').splitlines()[1:]:
        try:
            event = json.loads(line.strip().removesuffix(']}').rstrip(','))
        except ValueError:
            continue
        params = event.get('params') if isinstance(event, dict) else None
        if not isinstance(params, dict) or params.get('initiator', 'not an origin') == 'not an origin':
            continue
        if not str(params.get('url', 'data:')).startswith(('data:', 'file:')):
            found.append(params['url'])
    return found
