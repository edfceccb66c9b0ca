"""What the numbers of a certificate say, in plain words."""

_FEW_WORDS = 5


def plain_words(results):
    """Sentences that follow from the numbers: a difference is claimed only where it is sure.

    Sure means that the 95 % interval of the difference leaves out zero.

    Args:
        results: `Certificate.results`.

    Returns:
        List of str, the most important first.
    """
    main = results["sets"][results["main"]]
    differences = main["differences"]
    found = [
        _gain(results, main),
        *_few_shot(results),
        *_alarm(results["leaks"]),
        _names(results, differences),
        _control(differences["other_texts_gain"]),
        *_share(main["shapley"], main["accuracy"]),
        _missing(differences["text_missing"], "text", "pictures"),
        _swapped(differences["text_swapped"]),
        _missing(differences["image_missing"], "picture", "text"),
        _calibration(results["calibration"]["ece"]),
    ]
    return found


def headline(results):
    """The first thing to know, in a few words: whether text helps, and whether it gives away."""
    gain = results["sets"][results["main"]]["differences"]["text_gain"]
    verdict = {1: "Text helps", 0: "No gain from text can be shown", -1: "Text does harm"}
    alarm = results["leaks"]["alarms"]
    return f"{verdict[sign(gain)]}. " + (
        "Leak alarm: something gives the label away." if alarm else "No leak was found."
    )


def sign(difference):
    """1 or -1 where the interval is above or below zero, 0 where it holds zero."""
    return int(difference["low"] > 0) - int(difference["high"] < 0)


def points(difference):
    """A difference as "9.8 ± 1.2 points"."""
    return f"{100 * difference['mean']:.1f} ± {100 * difference['half_width']:.1f} points"


def percent(share):
    return f"{100 * share:.1f} %"


def probability(p_value):
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def _gain(results, main):
    gain, accuracy = main["differences"]["text_gain"], main["accuracy"]
    said = {1: f"Text adds {points(gain)}", -1: f"Text costs {points(_turned(gain))}"}
    said[0] = f"Text changes the accuracy by {points(gain)}, which may be chance:"
    image, both = percent(accuracy["image"]["mean"]), percent(accuracy["both"]["mean"])
    return (
        f"{said[sign(gain)]} {'to' if sign(gain) > 0 else 'against'} pictures alone with "
        f"{main['train']} examples to learn from: {both} instead of {image} (95 % interval, "
        f"{results['seeds']} seeds, paired, {probability(gain['p_value'])})."
    )


def _few_shot(results):
    few = {name: one for name, one in results["sets"].items() if name != results["main"]}
    if not few:
        return []
    gains = {name: one["differences"]["text_gain"] for name, one in few.items()}
    said = ", ".join(
        f"{name[1:]}: {100 * gain['mean']:+.1f} ± {100 * gain['half_width']:.1f}"
        + ("" if sign(gain) else " (not sure)")
        for name, gain in gains.items()
    )
    return [f"With few examples a class text changes the accuracy by, in points, {said}."]


def _alarm(leaks):
    if not leaks["alarms"]:
        return ["No word, picture or group was found that gives the label away."]
    found = []
    if "words" in leaks["alarms"]:
        some = [f"“{row['word']}” for {row['class']}" for row in leaks["words"][:_FEW_WORDS]]
        more = len(leaks["words"]) - len(some)
        found.append(
            f"Leak alarm: words that name a class almost by themselves: {', '.join(some)}"
            + (f" and {more} more." if more else ".")
        )
    if "names" in leaks["alarms"]:
        names = leaks["names"]
        found.append(
            f"Leak alarm: {percent(names['share'])} of the texts contain a word of their own "
            f"class's name; {percent(names['by_chance'])} would by chance."
        )
    for sign_of, what in (("pictures", "pictures are"), ("groups", "groups are")):
        if sign_of in leaks["alarms"]:
            found.append(f"Leak alarm: {leaks[sign_of]} {what} in two of the given splits.")
    return found


def _names(results, differences):
    share, gain = results["leaks"]["names"]["share"], differences["text_gain_without_names"]
    lost = differences["names_in_text"]
    said = ""
    if "names" not in results["leaks"]["alarms"]:
        said = f"{percent(share)} of the texts contain a word of their class's name. "
    if not any(lost["values"]) and differences["text_gain"]["mean"] == gain["mean"]:
        return said + "Without the words of class names nothing changes."
    verb = {1: "still adds", 0: "does not surely add (", -1: "costs"}[sign(gain)]
    value = points(_turned(gain) if sign(gain) < 0 else gain)
    told = f"{verb} {value}" if sign(gain) else f"{verb}{value})"
    dropped = {1: "loses", 0: "does not surely lose (", -1: "gains"}[sign(lost)]
    worth = points(_turned(lost) if sign(lost) < 0 else lost)
    change = f"{dropped} {worth}" if sign(lost) else f"{dropped}{worth})"
    return said + f"Without the words of class names text {told}, and text alone {change}."


def _control(difference):
    said = {
        1: "add {}, so part of the gain is not from what the texts say",
        0: "add nothing that is sure ({}): a gain comes from what the texts say",
        -1: "cost {}",
    }[sign(difference)]
    value = points(_turned(difference) if sign(difference) < 0 else difference)
    return f"Texts of other examples, learned from and asked with, {said.format(value)}."


def _share(values, accuracy):
    share = values["text_share"]
    if share is None:
        return ["Neither pictures nor text are better than the most frequent class."]
    gain = accuracy["both"]["mean"] - accuracy["prior"]["mean"]
    text, image = values["text"], values["image"]
    return [
        f"Of the {100 * gain:.1f} points above guessing the most frequent class, text brings "
        f"{points(text)} and pictures {points(image)} (Shapley values)."
    ]


def _missing(difference, what, rest):
    if sign(difference) < 0:
        return (
            f"Asked without {what}, a plain head on both falls {points(_turned(difference))} below "
            f"{rest} alone."
        )
    if sign(difference) > 0:
        return f"Asked without {what}, it is {points(difference)} above {rest} alone."
    ends = 100 * max(abs(difference["low"]), abs(difference["high"]))
    return f"Asked without {what}, it is equal to {rest} alone within {ends:.1f} points."


def _swapped(difference):
    if sign(difference) < 0:
        return f"Asked with a wrong text, it falls {points(_turned(difference))} below pictures."
    if sign(difference) > 0:
        return f"Asked with a wrong text, it is {points(difference)} above pictures alone."
    ends = 100 * max(abs(difference["low"]), abs(difference["high"]))
    return f"Asked with a wrong text, it is equal to pictures alone within {ends:.1f} points."


def _calibration(ece):
    return (
        f"Its probabilities are {100 * ece:.1f} points off on average (expected calibration error)."
    )


def _turned(difference):
    return difference | {"mean": -difference["mean"]}
