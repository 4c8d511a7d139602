"""Small bar charts as SVG: one panel a table, bars from zero, so that flat looks flat."""

from html import escape
from pathlib import Path

PANEL, HEIGHT, GAP, TOP, FOOT = 300, 130, 30, 34, 26
STYLE = """text{font:12px system-ui,sans-serif;fill:#24292f}.small{font-size:10px;fill:#57606a}rect.bar{fill:#2f6f9f}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9ea7b3}rect.bar{fill:#6fa8d0}}"""


def plot(path: Path, panels: dict[str, dict[str, float]], unit: str = "µs of CPU a request") -> None:
    """`panels` holds, by title, a value for each label. All panels share one scale."""
    most = max(value for values in panels.values() for value in values.values())
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width, height = columns * (PANEL + GAP) + GAP, rows * (TOP + HEIGHT + FOOT) + GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">', f"<style>{STYLE}</style>",
             f"<title>{escape(unit)}: {escape(', '.join(panels))}</title>"]
    for at, (title, values) in enumerate(panels.items()):
        left, top = GAP + (at % columns) * (PANEL + GAP), at // columns * (TOP + HEIGHT + FOOT)
        parts.append(f'<text x="{left}" y="{top + 18}">{escape(title)} <tspan class="small">({escape(unit)})</tspan></text>')
        step = PANEL / len(values)
        for number, (label, value) in enumerate(values.items()):
            tall, x = HEIGHT * 0.9 * value / most, left + number * step
            base, middle = top + TOP + HEIGHT, x + step * 0.4
            parts.append(f'<rect class="bar" x="{x:.1f}" y="{base - tall:.1f}" width="{step * 0.8:.1f}" height="{tall:.1f}"/>')
            parts.append(f'<text class="small" text-anchor="middle" x="{middle:.1f}" y="{base - tall - 3:.1f}">{value:.1f}</text>')
            parts.append(f'<text class="small" text-anchor="middle" x="{middle:.1f}" y="{base + 13}">{escape(label)}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")
