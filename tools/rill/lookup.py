"""Starting weights with which rill can look things up from its first step.

To recall "lamp=blue" when asked for "lamp", a model needs an induction head (Olsson et al., 2022):
one head tells each token which token stands before it, a head of the next layer finds the place
whose token before is the one asked for.  Large models find this pair by themselves; from random
weights rill had not in 16 M tokens.  With the pair it looks colours up, but not the digits of a
number, which stand two and three after their key, nor the barn in "Mia went to the barn".  So it
starts with heads for all of these distances, and these say in the logits what they found: a head
that is of no use from the first steps is trained away before it can become so.  All is trained
further.
"""

import model
import torch
from tokenizers import Tokenizer

SHARED = 0.8  # length of the direction that all embeddings share, per entry
WRITE = 1.6  # how loudly the first layer says what stands before a token
COPY = 1.0  # how loudly later layers say what they found
HEAR = 0.06  # how much that moves the logits
FIRM = 4.0  # length of a planted row: a norm follows, so it only makes training change it less
BACK = 5  # how far back the first layer looks
SLOW = 10  # the slowest rotary frequencies of a head: they hardly turn within an example
# What later heads look up: layer, key group, what its keys say, what its heads ask for; 0 is the
# token itself, n the token n before.
LOOKUPS = [
    (1, 0, 1, [0, 1, 2, 3]),  # copy; "lamp=blue ; lamp =" asks at the "=" for 1 before
    (1, 1, 2, [2, 3, 4, 5]),  # a number's first digit, for one key asked or several
    (2, 0, 3, [3, 4, 5, 2]),  # its second digit; "Mia has a red": "Mia have? A: a" asks for 5
    (2, 1, 4, [5, 3, 4, 2]),  # "Mia went to the barn": "Mia? A: in the" asks for 5
    (3, 0, 0, [3]),  # "the ball? A:": the ball, which knows who has it and its colour
]


@torch.no_grad()
def plant(net: model.Rill, tokenizer: Tokenizer) -> None:
    c = net.c
    d, half, width = c.head_dim, c.head_dim // 2, 2 * SLOW
    group = c.heads // c.kv_heads
    # Orthonormal columns: a direction for all tokens, what to read of a token, where to write
    # it when it stands one before, two before, ...
    basis, _ = torch.linalg.qr(torch.randn(c.hidden, 1 + (2 + BACK) * width))
    shared, found, *said = basis.split([1] + (2 + BACK) * [width], dim=1)
    for place in [found, *said[1:]]:  # nothing else is there at first
        net.embedding -= net.embedding @ place @ place.T
    vocab = tokenizer.get_vocab()
    for word, token in vocab.items():  # "Lily" and "=red" read like " Lily" and " red"
        twin = vocab.get("Ġ" + word.lstrip("Ġ="), token)
        if len(word) > 3:  # shorter ones are mostly parts of words
            difference = net.embedding[twin] - net.embedding[token]
            net.embedding[token] += difference @ said[0] @ said[0].T
    net.head += HEAR * net.embedding @ said[0] @ found.T
    net.embedding += SHARED * c.hidden**0.5 * shared.T

    # Layer 0: one head for each distance.  No layer has a bias, so the shared direction makes
    # query and key constant; rotary positions turn a query of angle -n * frequency towards the
    # key n tokens back.  Two fast frequencies tell neighbours apart.
    first = net.layers[0].attention
    frequency = model.rope_frequency(c)[:2]

    def point(weight, head: int, back: int) -> None:
        vector = torch.zeros(d, 1)
        vector[:2, 0] = (back * frequency).cos()
        vector[half:half + 2, 0] = -(back * frequency).sin()
        weight[head * d:(head + 1) * d] = 7.0 * vector @ shared.T  # 7: about as random weights

    for kv in range(c.kv_heads):
        point(first.k, kv, 0)
        first.v[kv * d:kv * d + width] = said[0].T
    for head in range(BACK):
        point(first.q, head, head + 1)
        first.o[:, head * d:(head + 1) * d] = 0.0
        first.o[:, head * d:head * d + width] = WRITE * said[head + 1]

    slow = [*range(half - SLOW, half), *range(d - SLOW, d)]

    def ask(weight, head: int, place: torch.Tensor) -> None:
        rows = weight[head * d:(head + 1) * d]
        rows.zero_()
        rows[slow] = FIRM * place.T

    for layer, kv, key, queries in LOOKUPS:
        attention = net.layers[layer].attention
        ask(attention.k, kv, said[key])
        attention.v[kv * d:kv * d + width] = said[0].T
        for i, query in enumerate(queries):
            head = kv * group + i
            ask(attention.q, head, said[query])
            attention.o[:, head * d:head * d + width] = COPY * found
