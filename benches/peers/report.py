"""From the samples of the rounds to what a reader sees: medians, ratios, a table for the terminal, one for the README."""

import statistics

# What relatch is to stay under: its random load over the peer's one-credential load.
MARKS = {"nginx": 0.9, "haproxy": 0.85, "haproxy-auth": 0.6, "relay": 1.5}
RATIOS = {"promised": "random : one", "per_2xx": "per 2xx : one", "like_for_like": "one : one"}


def summarise(rows: list[dict], taken: dict[str, list[dict]]) -> dict:
    """`rows` name each row and say what it is; `taken` holds, under those names, the figures of each round."""
    described = []
    for row in rows:
        samples = taken[row["row"]]
        middle = {figure: statistics.median(s[figure] for s in samples) for figure in samples[0]}
        spread = [min(s["cpu_us"] for s in samples), max(s["cpu_us"] for s in samples)]
        described.append(row | middle | {"cpu_us_spread": spread, "rounds": samples})
    ratios = {row["row"]: ratios_to(taken[row["row"]], taken) for row in rows if row["proxy"] != "relatch"}
    return {"rows": described, "ratios": ratios}


def ratios_to(peer: list[dict], taken: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
    ratios = {}
    if "relatch:random" in taken:
        ratios["promised"] = ratio(taken["relatch:random"], peer)
        ratios["per_2xx"] = ratio(taken["relatch:random"], peer, "cpu_us_per_2xx")
    if "relatch:one" in taken:
        ratios["like_for_like"] = ratio(taken["relatch:one"], peer)
    return ratios


def ratio(above: list[dict], below: list[dict], figure: str = "cpu_us") -> dict[str, float]:
    """Median, least and greatest of relatch over the peer, round by round. A peer gives no refusals: its cost is per answer."""
    each = [a[figure] / b["cpu_us"] for a, b in zip(above, below)]
    return {"median": statistics.median(each), "least": min(each), "greatest": max(each)}


def verdict(name: str, ratios: dict) -> str:
    if name not in MARKS or "promised" not in ratios:
        return ""
    met = ratios["promised"]["median"] <= MARKS[name]
    return f"   {RATIOS['promised']} is to be at most {MARKS[name]}: {'yes' if met else 'NO'}"


def as_text(report: dict) -> str:
    sections = [headline(report) + "\n", *costs(report)]
    if any(report["ratios"].values()):
        titles = "".join(f"{title:>16}" for title in RATIOS.values())
        sections += ["\nrelatch over the peer, median of the rounds", f"{'':14}{titles}"]
    for name, ratios in report["ratios"].items():
        if ratios:
            cells = (f"{ratios[kind]['median']:16.3f}" if kind in ratios else f"{'-':>16}" for kind in RATIOS)
            sections.append(f"{name:14}{''.join(cells)}{verdict(name, ratios)}")
    if report["relatch_counted"]:
        sections.append("")
    for load, results in report["relatch_counted"].items():
        told = ", ".join(f"{share:.1%} {result}" for result, share in results.items())
        sections.append(f"relatch's own count of `{load}`: {told}")
    return "\n".join(sections)


def headline(report: dict) -> str:
    how = f"{report['rounds']} rounds of {report['seconds']} s, {report['connections']} connections"
    return f"{report['machine']}; {report['date']}; {how}"


def costs(report: dict) -> list[str]:
    lines = [
        f"{'':14}{'load':8}{'CPU us':>8}{'least':>8}{'most':>8}{'user':>7}{'system':>8}"
        f"{'per 2xx':>9}{'req/s':>8}{'busy':>6}{'refused':>9}"
    ]
    for r in report["rows"]:
        least, most = r["cpu_us_spread"]
        lines.append(
            f"{r['proxy']:14}{r['load']:8}{r['cpu_us']:8.2f}{least:8.2f}{most:8.2f}{r['user_us']:7.2f}{r['system_us']:8.2f}"
            f"{r['cpu_us_per_2xx']:9.2f}{r['requests_per_second']:8.0f}{r['busy']:6.0%}{r['refused']:9.1%}"
        )
    return lines


MARKDOWN_COLUMNS = {
    "": "---",
    "does": "---",
    "load": "---",
    "CPU per request": "---:",
    "of it system": "---:",
    "CPU per 2xx": "---:",
    "requests/s": "---:",
    "relatch / this": "---:",
    "per 2xx / this": "---:",
    "like for like": "---:",
}


def as_markdown(report: dict) -> str:
    rows = [list(MARKDOWN_COLUMNS), list(MARKDOWN_COLUMNS.values())]
    for r in report["rows"]:
        ratios = report["ratios"].get(r["row"], {})
        rows.append([
            f"{r['proxy']} {report['versions'].get(r['proxy'], '')}".strip(),
            r["does"],
            r["load"],
            f"{r['cpu_us']:.1f} µs",
            f"{r['system_us']:.1f} µs",
            f"{r['cpu_us_per_2xx']:.1f} µs",
            f"{r['requests_per_second']:,.0f}",
            *(f"{ratios[kind]['median']:.2f}" if kind in ratios else "" for kind in RATIOS),
        ])
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
    return f"{table}\n\n{headline(report)}. {METHOD}"


METHOD = """\
Medians. CPU is the proxy's own, user and system; each has one worker on a core of its own, load and backend share another.
Load `random`: both secrets of all 1,000 clients drawn at random, 10 % of the secrets presented wrong; `one` and `basic`: one
right secret all the time, in the body or by HTTP Basic. relatch runs in replace mode with its access log (to a file) and
metrics on. *relatch / this* is `random` over the peer's `one`; *like for like* is `one` over `one`. To repeat it: `benches/peers/peers.py`."""
