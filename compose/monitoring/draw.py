#!/usr/bin/env python3
"""Draws dashboard.json as an SVG: each panel's queries, answered by a Prometheus server, in the dashboard's grid.

    compose/monitoring/draw.py --prometheus http://127.0.0.1:9090 --minutes 15 >compose/monitoring/dashboard.svg

It needs no Grafana and nothing but Python. Exit status 1 if a panel has no data.
"""

import argparse
import html
import json
import math
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

COLUMN, ROW, GAP, TOP = 52, 28, 8, 40
POINTS = 160
COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6d1f", "#6e7781"]
BY_NAME = {"green": "#2da44e", "orange": "#d4780a", "red": "#cf222e"}
STYLE = 'text{font:12px -apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#1f2328}.dim{fill:#57606a}.title{font-weight:600}'


class Prometheus:
    """The HTTP API of a Prometheus server, for one span of time."""

    def __init__(self, url, start, end):
        self.url, self.start, self.end = url.rstrip("/"), start, end
        self.step = (end - start) / POINTS

    def series(self, expression):
        """Each series as its labels and its points (time, value)."""
        wanted = {"query": expression, "start": self.start, "end": self.end, "step": self.step}
        with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{urllib.parse.urlencode(wanted)}") as answer:
            result = json.load(answer)["data"]["result"]
        for one in result:
            points = [(at, float(value)) for at, value in one["values"]]
            yield one["metric"], [(at, value) for at, value in points if math.isfinite(value)]


def named_series(panel, prometheus):
    """All series of a panel that have points, by the names of its legend."""
    found = {}
    for target in panel["targets"]:
        for labels, points in prometheus.series(target["expr"]):
            name = re.sub(r"{{\s*(\w+)\s*}}", lambda label: labels.get(label[1], ""), target["legendFormat"])
            if points:
                found.setdefault(name.strip(), points)
    return dict(sorted(found.items()))


def readable(value, unit, decimals=None):
    """A value with its unit."""
    if decimals is not None:
        return f"{value:.{decimals}f}"
    if unit == "bytes":
        power = min(3, int(math.log(value, 1024))) if value >= 1024 else 0
        return f"{value / 1024**power:.3g} {['B', 'KiB', 'MiB', 'GiB'][power]}"
    if unit == "s":
        return f"{value * 1000:.3g} ms" if 0 < value < 1 else f"{value:.3g} s"
    return f"{value:.3g}"


def ticks(highest, unit):
    """About four round values from 0 up to the highest or just above."""
    base = 1024 ** int(math.log(highest, 1024)) if unit == "bytes" and highest >= 1024 else 1
    rough = highest / base / 4
    power = 10 ** math.floor(math.log10(rough))
    step = base * power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * n for n in range(math.ceil(highest / step - 1e-9) + 1)]


def text(x, y, words, more=""):
    return f'<text x="{x:.0f}" y="{y:.0f}" {more}>{html.escape(str(words))}</text>'


def stat(panel, series, x, y, width, height):
    """A panel of coloured boxes, each with the last value of a series."""
    defaults = panel["fieldConfig"]["defaults"]
    texts = {value: one["text"] for mapping in defaults.get("mappings", []) for value, one in mapping["options"].items()}
    wide = (width - 2 * GAP) / len(series)
    for at, (name, points) in enumerate(series.items()):
        last = points[-1][1]
        steps = [step for step in defaults["thresholds"]["steps"] if step["value"] is None or last >= step["value"]]
        left = x + GAP + at * wide
        yield f'<rect x="{left:.0f}" y="{y + 30}" width="{wide - 4:.0f}" height="{height - 38}" rx="4" fill="{BY_NAME[steps[-1]["color"]]}"/>'
        shown = texts.get(f"{last:.0f}") or readable(last, defaults["unit"], defaults.get("decimals"))
        for base, words, largest in ((height / 2 + 12, shown, 22), (height - 16, name, 12)):
            size = min(largest, 1.8 * wide / max(1, len(words)))
            style = f'text-anchor="middle" style="fill:#fff;font-size:{size:.0f}px"'
            yield text(left + wide / 2 - 2, y + base, words, style)


def chart(panel, series, prometheus, x, y, width, height):
    """A panel with a line for each series over the time."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    left, right, top = x + 62, x + width - 14, y + 36
    # The legend takes as many lines as it needs.
    lines, used = [[]], 0
    for name in series:
        need = 26 + 6.3 * len(name)
        if used + need > width - 2 * GAP and lines[-1]:
            lines.append([])
            used = 0
        lines[-1].append((used, name))
        used += need
    bottom = y + height - 30 - 16 * len(lines)
    marks = ticks(max(max(value for _, value in points) for points in series.values()) or 1, unit)
    place_y = lambda value: bottom - value / marks[-1] * (bottom - top)
    place_x = lambda at: left + (at - prometheus.start) / (prometheus.end - prometheus.start) * (right - left)
    for mark in marks:
        yield f'<path d="M{left} {place_y(mark):.1f}H{right}" stroke="#d8dee4"/>'
        yield text(left - 6, place_y(mark) + 4, readable(mark, unit) if mark else "0", 'text-anchor="end" class="dim"')
    every = next(step for step in (60, 120, 300, 600, 1800, 3600, 86400) if (prometheus.end - prometheus.start) / step <= 6)
    for at in range(math.ceil(prometheus.start / every) * every, int(prometheus.end) + 1, every):
        yield text(place_x(at), bottom + 17, time.strftime("%H:%M", time.gmtime(at)), 'text-anchor="middle" class="dim"')
    for at, points in enumerate(series.values()):
        path, before = "", None
        for when, value in points:
            # A line ends where the series has no values.
            move = "M" if before is None or when - before > 1.5 * prometheus.step else "L"
            path += f"{move}{place_x(when):.1f} {place_y(value):.1f}"
            before = when
        yield f'<path d="{path}" fill="none" stroke="{COLOURS[at % len(COLOURS)]}" stroke-width="1.6"/>'
    names = list(series)
    for row, line in enumerate(lines):
        for offset, name in line:
            base = bottom + 36 + 16 * row
            colour = COLOURS[names.index(name) % len(COLOURS)]
            yield f'<rect x="{x + GAP + 4 + offset:.0f}" y="{base - 6}" width="14" height="3" fill="{colour}"/>'
            yield text(x + GAP + 22 + offset, base, name)


def draw(dashboard, prometheus):
    """The lines of the SVG, and the titles of panels without data."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    width, height = 24 * COLUMN + GAP, rows * ROW + TOP + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">',
        f"<title>{html.escape(dashboard['title'])}</title><style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#f6f8fa"/>',
        text(GAP + 4, 26, dashboard["title"], 'style="font-size:17px;font-weight:600"'),
    ]
    span = [time.strftime("%Y-%m-%d %H:%M", time.gmtime(prometheus.start)), time.strftime("%H:%M UTC", time.gmtime(prometheus.end))]
    lines.append(text(width - GAP - 4, 26, " to ".join(span), 'text-anchor="end" class="dim"'))
    empty = []
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        x, y = grid["x"] * COLUMN + GAP, grid["y"] * ROW + TOP
        place = (x, y, grid["w"] * COLUMN - GAP, grid["h"] * ROW - GAP)
        lines.append(f'<rect x="{x}" y="{y}" width="{place[2]}" height="{place[3]}" rx="4" fill="#fff" stroke="#d0d7de"/>')
        lines.append(text(x + GAP + 4, y + 20, panel["title"], 'class="title"'))
        series = named_series(panel, prometheus)
        if not series:
            empty.append(panel["title"])
            lines.append(text(x + place[2] / 2, y + place[3] / 2, "No data", 'text-anchor="middle" class="dim"'))
        elif panel["type"] == "stat":
            lines.extend(stat(panel, series, *place))
        else:
            lines.extend(chart(panel, series, prometheus, *place))
    return [*lines, "</svg>"], empty


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", metavar="URL", default="http://127.0.0.1:9090")
    parser.add_argument("--minutes", type=float, default=60, help="time that the picture shows, up to --end")
    parser.add_argument("--end", metavar="SECONDS", type=float, default=time.time(), help="seconds since 1970 [default: now]")
    args = parser.parse_args()
    dashboard = json.loads(pathlib.Path(__file__).with_name("dashboard.json").read_text())
    lines, empty = draw(dashboard, Prometheus(args.prometheus, args.end - 60 * args.minutes, args.end))
    print("\n".join(lines))
    for title in empty:
        print(f"no data: {title}", file=sys.stderr)
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
