"""Charts as SVG, without a library: few lines and labels."""

import math

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 44
COLOURS = {"signpost": "#0b6e4f", "nsd": "#d1495b", "knot": "#edae49", "bind": "#66a1c9"}


def costs_by_size(costs):
    """Draws CPU time by query over the number of services: a panel for each mix, a line for each server.

    `costs` has microseconds by (mix, server, size).
    """
    mixes = list(dict.fromkeys(mix for mix, _, _ in costs))
    total = TOP + HEIGHT * len(mixes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{total}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{total}" fill="white"/>',
    ]
    for index, (server, colour) in enumerate(COLOURS.items()):
        x = LEFT + index * 110
        parts.append(f'<rect x="{x}" y="14" width="14" height="14" fill="{colour}"/><text x="{x + 20}" y="26">{server}</text>')
    for index, mix in enumerate(mixes):
        parts += panel(mix, {key[1:]: cost for key, cost in costs.items() if key[0] == mix}, TOP + HEIGHT * index)
    return "\n".join([*parts, "</svg>", ""])


def panel(title, costs, top):
    """Draws one mix: logarithmic in the number of services, linear from zero in microseconds."""
    sizes = sorted({size for _, size in costs})
    highest = math.ceil(max(costs.values()))
    low, high = math.log10(sizes[0]), math.log10(sizes[-1])
    bottom = top + HEIGHT - BOTTOM

    def x(size):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(size) - low) / (high - low)

    def y(cost):
        return bottom - (bottom - top - 20) * cost / highest

    parts = [f'<text x="{LEFT}" y="{top + 12}" font-weight="bold">{title}: CPU µs by query</text>']
    for step in range(highest + 1):
        if step % max(1, highest // 6) == 0:
            parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(step):.1f}" y2="{y(step):.1f}" stroke="#ddd"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y(step) + 4:.1f}" text-anchor="end">{step}</text>')
    for size in sizes:
        anchor = "start" if size == sizes[0] else "end" if size == sizes[-1] else "middle"
        parts.append(f'<text x="{x(size):.1f}" y="{bottom + 18}" text-anchor="{anchor}">{size:,} services</text>')
    for server, colour in COLOURS.items():
        points = [(x(size), y(costs[server, size])) for size in sizes if (server, size) in costs]
        path = " ".join(f"{at:.1f},{cost:.1f}" for at, cost in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{at:.1f}" cy="{cost:.1f}" r="3" fill="{colour}"/>' for at, cost in points]
    return parts
