"""Recall of simple predictors of the next layer's experts, from their definitions, in numpy.

The independent witness of src/cache/prefetch_recall_test.cc, which holds the predictors to what
this prints. Recall@n: the share of the experts that a token chose which are among the n likeliest
(ties: the lower id). Predictions are for layer l from the token's choice in layer l - 1.

  python3 tests/reference_recall.py                 the figures of the test
  python3 tests/reference_recall.py offline FILE    tables from the first 86 % of the conversations,
                                                    tested on the rest (gpt-oss only)
"""

import json
import sys

import numpy as np

TRACES = "../shared/data/traces/"
WINDOW = 50  # tokens, of `lookahead`


def load(name):
    """[token, layer, rank]; and where conversations begin, if the file says."""
    with np.load(name) as file:
        experts = file["experts"].astype(np.int64)
        meta = json.loads(str(file["meta"]))
    if isinstance(meta, dict):
        return experts.transpose(1, 0, 2), None
    return experts, [conversation["offset"] for conversation in meta]


def hits(scores, chosen, counts):
    order = np.argsort(-scores, kind="stable")
    return [np.isin(order[:n], chosen).sum() for n in counts]


def online(experts, tokens, counts):
    """The figures of the test: everything is learned as the tokens come. Layers from 1."""
    experts = experts[:tokens]
    _, layers, k = experts.shape
    e = int(experts.max()) + 1
    even = k / e
    total = {name: np.zeros(len(counts)) for name in ("window", "ema", "previous", "klotski")}
    seen = 0
    for layer in range(1, layers):
        pairs = np.zeros((e, e))
        times = np.zeros(e)
        popularity = np.zeros(e)
        window = np.zeros(e)
        ema = np.full(e, even)
        last = np.zeros(e)
        for t in range(tokens):
            now, before = experts[t, layer], experts[t, layer - 1]
            chosen = np.zeros(e)
            chosen[now] = 1
            base = (popularity + 4 * even) / (t + 4)
            conditional = (pairs[before] + 4 * base) / (times[before] + 4)[:, None]
            if t > 0:  # of the first token there is nothing to say
                total["window"] += hits(window, now, counts)
                total["ema"] += hits(ema, now, counts)
                total["previous"] += hits(last, now, counts)
                total["klotski"] += hits(conditional.mean(axis=0), now, counts)
                seen += k
            pairs[np.ix_(before, now)] += 1
            times[before] += 1
            popularity += chosen
            window += chosen
            if t >= WINDOW:
                window[experts[t - WINDOW, layer]] -= 1
            ema = 0.9 * ema + 0.1 * chosen
            last = chosen
    return {name: 100 * value / seen for name, value in total.items()}


def offline(name):
    experts, offsets = load(name)
    tokens, layers, k = experts.shape
    e = int(experts.max()) + 1
    split = offsets[int(len(offsets) * 260 / 300)]
    starts = set(offsets)
    train, test = experts[:split], experts[split:]
    counts = (k, k * 3 // 2, 2 * k, 3 * k)
    total = {}
    seen = 0
    hot = np.zeros((layers, len(test), e))
    np.put_along_axis(hot, test.transpose(1, 0, 2), 1, axis=2)

    def add(what, scores, now):
        order = np.argsort(-scores, axis=1, kind="stable")
        hit = np.take_along_axis(now, order, axis=1)
        total[what] = total.get(what, 0) + np.array([hit[:, :n].sum() for n in counts])

    for layer in range(1, layers):
        past = np.zeros((len(train), e))
        np.put_along_axis(past, train[:, layer], 1, axis=1)
        before = np.zeros((len(train), e))
        np.put_along_axis(before, train[:, layer - 1], 1, axis=1)
        popularity = past.mean(axis=0)
        pairs = before.T @ past
        conditional = pairs / np.maximum(1, before.sum(axis=0))[:, None]
        steps = past[:-1].T @ past[1:] / np.maximum(1, past[:-1].sum(axis=0))[:, None]
        now, above = hot[layer], hot[layer - 1]
        ema = np.empty_like(now)
        last = np.empty_like(now)
        rate, previous = np.full(e, k / e), np.zeros(e)
        for t in range(len(now)):
            if split + t in starts:
                rate, previous = np.full(e, k / e), np.zeros(e)
            ema[t], last[t] = rate, previous
            rate, previous = 0.9 * rate + 0.1 * now[t], now[t]
        # P(a chosen before | e) / P(a chosen before | not e), for the a's that were
        given = (pairs + 0.5) / (past.sum(axis=0) + 1)[None, :]
        other = (before.sum(axis=0)[:, None] - pairs + 0.5) / (len(past) - past.sum(axis=0) + 1)
        lift = above @ np.log(given / other)
        prior = np.log((ema + 0.02) / (1 - ema + 0.02))
        add("static popularity", np.tile(popularity, (len(now), 1)), now)
        add("previous token", last + 1e-3 * popularity, now)
        add("previous-token transitions", last @ steps + 1e-3 * popularity, now)
        add("history, EMA 0.9", ema + 1e-6 * popularity, now)
        add("affinity", above @ conditional, now)
        add("affinity + history", above @ conditional / k + ema, now)
        add("naive Bayes", np.log(popularity + 1e-3) + lift, now)
        add("naive Bayes, history as prior", prior + 0.6 * lift, now)
        seen += now.sum()
    print(f"{len(offsets)} conversations, {split} tokens for the tables, {len(test)} tested; @{counts}")
    for what, value in total.items():
        print(f"{what:32}", " ".join(f"{x:5.1f}" for x in 100 * value / seen))


def main():
    if sys.argv[1:2] == ["offline"]:
        offline(sys.argv[2])
        return
    for name, tokens, counts in (
        ("qwen3-30b-a3b-code", 400, (8, 16)),
        ("gpt-oss-20b-decode", 1500, (4, 8)),
    ):
        experts, _ = load(f"{TRACES}{name}.npz")
        for what, value in online(experts, tokens, counts).items():
            print(f"{name} {tokens} tokens {what:10}", " ".join(f"{x:.2f}" for x in value))


if __name__ == "__main__":
    main()
