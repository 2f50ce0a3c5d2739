"""Starting weights with which rill can look things up from its first step.

To recall "lamp=blue" when asked for "lamp", a model needs an induction head (Olsson et al., 2022):
one head tells each token which token stands before it, a head of the next layer finds the place
whose token before is the one asked for.  Large models find this pair by themselves; from random
weights rill had not in 16 M tokens.  So the first two layers start with it; all is trained further.
"""

import model
import torch

SHARED = 0.8  # length of the direction that all embeddings share, per entry
WRITE = 1.6  # how loudly the first layer says what stands before
SLOW = 10  # the slowest rotary frequencies of a head: they hardly turn within an example


@torch.no_grad()
def plant(net: model.Rill) -> None:
    c = net.c
    d, half = c.head_dim, c.head_dim // 2
    # Orthonormal columns: a direction for all tokens, what to read of a token, where to write
    # it when it stands one before and two before.
    basis, _ = torch.linalg.qr(torch.randn(c.hidden, 1 + 3 * d))
    shared, read, *write = basis.split([1, d, d, d], dim=1)
    for place in write:  # nothing else is there at first
        net.embedding -= net.embedding @ place @ place.T
    net.embedding += SHARED * c.hidden**0.5 * shared.T

    # Layer 0, heads 0 and 1 (which share key and value): attend one and two back.  No layer has a
    # bias, so the shared direction makes query and key constant; rotary positions turn a query
    # of angle -n * frequency towards the key n tokens back.  Two fast frequencies tell
    # neighbours apart.
    first = net.layers[0].attention
    frequency = model.rope_frequency(c)[:2]
    for weight, row, back in ((first.k, 0, 0), (first.q, 0, 1), (first.q, d, 2)):
        vector = torch.zeros(d, 1)
        vector[:2, 0] = (back * frequency).cos()
        vector[half:half + 2, 0] = -(back * frequency).sin()
        weight[row:row + d] = 7.0 * vector @ shared.T  # 7: about as long as random weights
    first.v[:d] = read.T
    for head, place in enumerate(write):
        first.o[:, head * d:(head + 1) * d] = WRITE * place

    # Layer 1: a key says what stands before it.  Head 0 asks for its own token, head 1 for the
    # one before.
    second = net.layers[1].attention
    slow = [*range(half - SLOW, half), *range(d - SLOW, d)]
    for weight, row, source in ((second.k, 0, write[0]), (second.q, 0, read),
                                (second.q, d, write[0])):
        weight[row:row + d] = 0.0
        weight[[row + i for i in slow]] = source.T[:len(slow)]
