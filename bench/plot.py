"""Charts as SVG, without a library: few lines and labels."""

import math

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 44
COLOURS = {"signpost": "#0b6e4f", "nsd": "#d1495b", "knot": "#edae49", "bind": "#66a1c9", "nginx": "#d1495b", "haproxy": "#edae49"}


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
    servers = list(dict.fromkeys(server for _, server, _ in costs))
    for index, server in enumerate(servers):
        x, colour = LEFT + index * 110, COLOURS[server]
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


def costs_by_kind(costs):
    """Draws CPU time by request as bars: a group for each kind, a bar for each server; `costs` has microseconds
    by (kind, server). Each group has its own scale, as kinds differ by orders of magnitude."""
    kinds = list(dict.fromkeys(kind for kind, _ in costs))
    servers = list(dict.fromkeys(server for _, server in costs))
    row, label, widest = 22, 170, 420
    height = TOP + len(kinds) * (len(servers) * row + 34)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        '<text x="16" y="24" font-weight="bold">CPU µs by request, on one core; less is better</text>',
    ]
    top = TOP
    for kind in kinds:
        parts.append(f'<text x="16" y="{top + 8}" font-weight="bold">{kind}</text>')
        top += 14
        highest = max(costs[kind, server] for server in servers)
        for server in servers:
            cost = costs[kind, server]
            width = widest * cost / highest
            parts.append(f'<text x="{label - 8}" y="{top + 14}" text-anchor="end">{server}</text>')
            parts.append(f'<rect x="{label}" y="{top}" width="{width:.1f}" height="{row - 6}" fill="{COLOURS[server]}"/>')
            parts.append(f'<text x="{label + width + 8:.1f}" y="{top + 14}">{cost:,.1f}</text>')
            top += row
        top += 20
    return "\n".join([*parts, "</svg>", ""])
