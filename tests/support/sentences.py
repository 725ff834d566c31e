"""Texts in Spanish and in English, the same on every machine: short and long, with accents, numbers and signs."""

_SPANISH = (
    ("El ministro", "La niña que leía", "Un ordenador de 32 GiB", "Mi vecina María José", "El 14 de julio, nadie"),
    ("compró un coche rojo", "¿sabía la respuesta?", "perdió 1.250,75 € en la lotería", "cantó toda la noche"),
    (
        "porque llovía.",
        "aunque el camino era larguísimo y empinado, lleno de piedras.",
        "en Córdoba…",
        "sin más",
        "☕",
    ),
)
_ENGLISH = (
    ("The minister", "A girl who was reading", "A computer with 32 GiB", "My neighbour Mary-Jo", "On July 14th nobody"),
    ("bought a red car", "didn't know the answer", "lost $1,250.75 in the lottery", "sang all night long"),
    ("because it rained.", "although the road was very long and steep, full of stones.", "in Cordoba...", "", "☕"),
)


def sentences() -> list[str]:
    """Two hundred; every seventh is a paragraph."""
    found = [
        " ".join((subject, verb, end)).strip()
        for subjects, verbs, ends in (_SPANISH, _ENGLISH)
        for subject in subjects
        for verb in verbs
        for end in ends
    ]
    return [" ".join(found[place : place + 12]) if place % 7 == 0 else text for place, text in enumerate(found)]
