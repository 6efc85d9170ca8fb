"""Spheres on a plane under one soft sun. A scene is a function (height, width, rng, vary) -> picture."""

import numpy as np

from brushes import STILL, grid, mix, noise, ramp, rgb, smooth


def trace(height, width, spheres, ground, sky, eye, target, field, sun, bounces=2):
    """Spheres [(centre, radius, colour, mirror)] over the plane y = 0, one soft sun.

    ground(x, z) -> (colour, mirror); sky(direction) -> colour; colours are linear light.
    """
    y, x = grid(height, width)
    forward = np.array(target, np.float32) - np.array(eye, np.float32)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 1, 0]).astype(np.float32)
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    sun = np.array(sun, np.float32) / np.linalg.norm(sun)
    shape = (height, width)
    direction = forward + field * (
        (np.broadcast_to(x, shape)[..., None] - width / height / 2) * right
        - (np.broadcast_to(y, shape)[..., None] - 0.5) * up
    )
    direction = direction.reshape(-1, 3).astype(np.float32)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    origin = np.broadcast_to(np.array(eye, np.float32), direction.shape)
    return _shade(origin, direction, spheres, ground, sky, sun, bounces).reshape(height, width, 3)


def _shade(origin, direction, spheres, ground, sky, sun, bounces):
    count = len(direction)
    nearest = np.full(count, 1e9, np.float32)
    hit = np.full(count, -2, np.int32)  # -2 the sky, -1 the ground
    with np.errstate(divide="ignore", invalid="ignore"):
        t = -origin[:, 1] / direction[:, 1]
    on = (t > 1e-3) & (t < 60)
    nearest[on], hit[on] = t[on], -1
    for index, (centre, radius, _, _) in enumerate(spheres):
        offset = origin - np.array(centre, np.float32)
        b = (offset * direction).sum(1)
        disc = b * b - (offset * offset).sum(1) + radius * radius
        t = -b - np.sqrt(np.maximum(disc, 0))
        on = (disc > 0) & (t > 1e-3) & (t < nearest)
        nearest[on], hit[on] = t[on], index

    colour = sky(direction)
    solid = np.flatnonzero(hit > -2)
    if not len(solid):
        return colour
    point = origin[solid] + nearest[solid, None] * direction[solid]
    which, ray = hit[solid], direction[solid]
    normal = np.zeros_like(point)
    normal[:, 1] = 1
    base, mirror = ground(point[:, 0], point[:, 2])
    for index, (centre, radius, tint, shine) in enumerate(spheres):
        own = which == index
        normal[own] = (point[own] - np.array(centre, np.float32)) / radius
        base[own] = tint(normal[own]) if callable(tint) else np.array(tint, np.float32)
        mirror[own] = shine

    # Far away, float32 leaves the hit point a little off the sphere.
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)

    light = np.maximum(normal @ sun, 0)
    open_sky = np.ones(len(point), np.float32)
    for index, (centre, radius, _, _) in enumerate(spheres):
        other = which != index
        to = np.array(centre, np.float32) - point
        far2 = np.maximum((to * to).sum(1), radius * radius)
        along = to @ sun
        miss = np.sqrt(np.maximum((to * to).sum(1) - along * along, 0))
        # The wider the gap along the ray, the softer the edge: a sun of some size.
        soft = 0.10 * np.maximum(along, 0) + 0.02
        shadow = 1 - smooth(radius - soft, radius + soft, miss)
        light[other] *= (1 - shadow * (along > 0))[other]
        towards = np.maximum((normal * to).sum(1) / np.sqrt(far2), 0)
        open_sky[other] *= (1 - 0.9 * towards * radius * radius / far2)[other]
    lit = base * (
        light[:, None] * np.array([1.25, 1.15, 1.0], np.float32)
        + open_sky[:, None] * np.array([0.32, 0.36, 0.45], np.float32)
    )
    bounce = ray - 2 * (ray * normal).sum(1, keepdims=True) * normal
    bounce /= np.linalg.norm(bounce, axis=1, keepdims=True)
    gleam = np.maximum(bounce @ sun, 0) ** 120 * (light > 0) * (mirror > 0)
    if bounces:
        fresnel = mirror + (0.9 - mirror) * (1 - np.clip(-(ray * normal).sum(1), 0, 1)) ** 5
        fresnel *= mirror > 0
        seen = _shade(point + 2e-3 * normal, bounce, spheres, ground, sky, sun, bounces - 1)
        lit = mix(lit, seen, fresnel[:, None])
    lit += gleam[:, None] * 1.5
    ground_hit = which == -1
    haze = smooth(8, 40, nearest[solid])[:, None] * ground_hit[:, None]
    colour[solid] = mix(lit, colour[solid], haze)
    return colour


def develop(linear, exposure=1.0):
    """Linear light to sRGB with a soft shoulder."""
    x = np.maximum(linear * exposure, 0)
    x = x * (1 + x / 4) / (1 + x * 0.55)
    return np.clip(x, 0, 1) ** (1 / 2.2)


def marbles(height, width, rng, vary=STILL):
    def ground(x, z):
        check = (np.floor(x * 1.1) + np.floor(z * 1.1)) % 2
        colour = mix(
            np.array([0.62, 0.56, 0.47], np.float32),
            np.array([0.20, 0.27, 0.33], np.float32),
            check[:, None],
        )
        return colour.astype(np.float32), np.full(len(x), 0.08, np.float32)

    def sky(d):
        return (
            ramp(np.clip(d[:, 1], 0, 1) ** 0.6, [(0, "#e9c9a4"), (0.3, "#9fb9cf"), (1, "#2f5f9f")])
            ** 2.2
        )

    palette = [
        "#d7263d",
        "#f49d37",
        "#3f88c5",
        "#2e933c",
        "#7b2d8b",
        "#f2c14e",
        "#1b998b",
        "#f46036",
    ]
    ball = vary.by(-0.15, 1.2), vary.by(0.2, 0.8)
    spheres = [((ball[0], 1.0, ball[1]), 1.0, (0.9, 0.9, 0.92), 0.75)]
    while len(spheres) < 26:
        radius = rng.uniform(0.18, 0.48)
        at = (rng.uniform(-3.6, 3.6), radius, rng.uniform(-2.6, 3.8))
        if all(np.hypot(at[0] - c[0], at[2] - c[2]) > radius + r + 0.06 for c, r, _, _ in spheres):
            spheres.append((at, radius, rgb(palette[len(spheres) % 8]) ** 2.2, 0.10))
    return develop(
        trace(
            height,
            width,
            spheres,
            ground,
            sky,
            (vary.by(0.6, 1.5), vary.by(2.5, 0.6), -6.4),
            (-0.1, 0.55, 0.3),
            0.78,
            (-0.55, 0.8, -0.45),
        ),
        1.05,
    )


def fruit(height, width, rng, vary=STILL):
    grain = noise(rng, 512, 512, 4, 40, 5)

    def ground(x, z):
        u = (np.abs(x * 30 + 260).astype(int)) % 512
        v = (np.abs(z * 60 + 260).astype(int)) % 512
        plank = (np.abs(x % 1.3) < 0.018)[:, None]
        colour = mix(
            rgb("#6d4526"), rgb("#9a673a"), np.clip(grain[u, v] * 0.4 + 0.5, 0, 1)[:, None]
        )
        colour = np.where(plank, colour * 0.35, colour) ** 2.2
        return colour.astype(np.float32), np.full(len(x), 0.03, np.float32)

    def sky(d):
        wall = ramp(
            np.clip(d[:, 1] * 1.2 + 0.35 + 0.3 * d[:, 0], 0, 1),
            [(0, "#51483f"), (0.5, "#7d8a80"), (1, "#a9b9a4")],
        )
        return wall**2.2

    def apple(n):
        streak = np.sin(np.arctan2(n[:, 2], n[:, 0]) * 23 + 3 * n[:, 1]) * 0.5 + 0.5
        skin = mix(rgb("#b3131b"), rgb("#d9532c"), streak[:, None] * 0.5)
        return (mix(skin, rgb("#d8b33a"), smooth(0.35, 0.98, n[:, 1])[:, None]) ** 2.2).astype(
            np.float32
        )

    def lime(n):
        return (
            mix(rgb("#5f9421"), rgb("#a4c93c"), smooth(-0.4, 0.9, n[:, 1])[:, None]) ** 2.2
        ).astype(np.float32)

    orange, plum, peach = rgb("#ef8a17") ** 2.2, rgb("#4b1d52") ** 2.2, rgb("#f2a65a") ** 2.2
    spheres = [
        ((-0.95, 0.62, 0.5), 0.62, apple, 0.06),
        ((0.25, 0.6, 0.75), 0.6, orange, 0.03),
        ((1.22, 0.55, 0.15), 0.55, apple, 0.06),
        ((-0.3, 0.42, -0.4), 0.42, lime, 0.04),
        ((0.55, 0.36, -0.45), 0.36, plum, 0.08),
        ((-1.25, 0.36, -0.6), 0.36, plum, 0.08),
        ((-0.32, 1.5, 0.62), 0.5, peach, 0.02),
        ((1.15, 0.3, -0.85), 0.3, lime, 0.04),
    ]
    spheres += [
        ((rng.uniform(-0.7, 0.6), 0.13, -1.25 - 0.28 * i), 0.13, plum, 0.1) for i in range(3)
    ]
    spheres = [
        ((vary.by(c[0], 0.2), c[1], vary.by(c[2], 0.15)), *others) for c, *others in spheres
    ]
    return develop(
        trace(
            height,
            width,
            spheres,
            ground,
            sky,
            (vary.by(0.4, 1.0), vary.by(2.3, 0.4), -5.6),
            (0.0, 0.62, 0.1),
            0.88,
            (-0.75, 0.75, -0.4),
        ),
        1.25,
    )
