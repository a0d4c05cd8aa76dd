"""Trains Drover Tiny, a small llama, on the tokens that prepare.py wrote. CPU only, bf16 where it pays.

Usage: python train.py DATA_DIR OUT_DIR --minutes 45

The learning rate follows the clock, not the steps: full at first, then straight down to zero over the last part
of the time, so a slower machine gives fewer steps and still a finished model. Every two minutes, and at the end, the
moving average of the weights is written as weights.bin (raw little-endian float32) and weights.json.
"""

import argparse
import json
import math
import pathlib
import time

import numpy
import torch
import torch.nn.functional as functional
from torch import nn

SHAPE = {
    "dim": 256,
    "layers": 4,
    "heads": 8,
    "kv_heads": 4,
    "ffn": 704,
    "vocabulary": 2048,
    "context": 2048,
    "rope_base": 10000.0,
    "epsilon": 1e-5,
}


class Block(nn.Module):
    """One pre-norm layer: grouped-query attention with rotary positions, then SwiGLU."""

    def __init__(self, shape):
        super().__init__()
        dim, self.heads, self.kv_heads = shape["dim"], shape["heads"], shape["kv_heads"]
        self.head_dim = dim // self.heads
        kv_dim = self.kv_heads * self.head_dim
        self.attn_norm = nn.RMSNorm(dim, eps=shape["epsilon"])
        self.attn_q = nn.Linear(dim, dim, bias=False)
        self.attn_k = nn.Linear(dim, kv_dim, bias=False)
        self.attn_v = nn.Linear(dim, kv_dim, bias=False)
        self.attn_output = nn.Linear(dim, dim, bias=False)
        self.ffn_norm = nn.RMSNorm(dim, eps=shape["epsilon"])
        self.ffn_gate = nn.Linear(dim, shape["ffn"], bias=False)
        self.ffn_up = nn.Linear(dim, shape["ffn"], bias=False)
        self.ffn_down = nn.Linear(shape["ffn"], dim, bias=False)

    def forward(self, x, cos, sin):
        normed = self.attn_norm(x)
        count = self.heads + self.kv_heads
        both = torch.cat([self.attn_q(normed), self.attn_k(normed)], -1).unflatten(-1, (count, self.head_dim))
        both = rotate(both, cos, sin)
        query, key = both[:, :, : self.heads].transpose(1, 2), both[:, :, self.heads :].transpose(1, 2)
        value = self.attn_v(normed).unflatten(-1, (self.kv_heads, self.head_dim)).transpose(1, 2)
        x = x + self.attn_output(attend(query, key, value).transpose(1, 2).flatten(2))
        normed = self.ffn_norm(x)
        return x + self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))


def rotate(x, cos, sin):
    """Rotary positions on the two halves of each head; the exporter reorders the rows for llama.cpp."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([second, first], -1) * sin


def attend(query, key, value):
    """Causal grouped-query attention, [batch, heads, length, head_dim].

    Written out for short samples, where PyTorch's own CPU kernel spends most of the step in its backward pass.
    """
    groups = query.shape[1] // key.shape[1]
    length = query.shape[2]
    if length > 320:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    grouped = query.unflatten(1, (-1, groups)).flatten(2, 3)
    scores = (grouped @ key.transpose(2, 3)).unflatten(2, (groups, length))
    ahead = torch.ones(length, length, dtype=torch.bool, device=query.device).triu(1)
    weights = (scores * query.shape[-1] ** -0.5).masked_fill(ahead, -1e4).softmax(-1)
    mixed = weights.to(value.dtype).flatten(2, 3) @ value
    return mixed.unflatten(2, (groups, length)).flatten(1, 2)


class Model(nn.Module):
    """A llama whose output matrix is its embedding."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.token_embd = nn.Embedding(shape["vocabulary"], shape["dim"])
        self.blk = nn.ModuleList(Block(shape) for _ in range(shape["layers"]))
        self.output_norm = nn.RMSNorm(shape["dim"], eps=shape["epsilon"])
        half = shape["dim"] // shape["heads"] // 2
        frequency = shape["rope_base"] ** (-torch.arange(half) / half)
        angle = torch.arange(shape["context"])[:, None] * frequency
        self.register_buffer("cos", torch.cat([angle.cos(), angle.cos()], 1)[:, None], persistent=False)
        self.register_buffer("sin", torch.cat([-angle.sin(), angle.sin()], 1)[:, None], persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                std = 0.02 if name.startswith("token_embd") else parameter.shape[1] ** -0.5 * 0.6
                nn.init.normal_(parameter, std=std / math.sqrt(2 * shape["layers"]) if deep else std)

    def forward(self, ids):
        """ids [batch, length] to final hidden states [batch, length, dim]."""
        x = self.token_embd(ids)
        length = ids.shape[1]
        cos, sin = self.cos[:length].to(torch.bfloat16), self.sin[:length].to(torch.bfloat16)
        for block in self.blk:
            x = block(x, cos, sin)
        return self.output_norm(x)


class Muon:
    """Muon (Jordan, 2024): momentum made nearly orthogonal by five Newton-Schulz steps, matrices of a shape at once."""

    def __init__(self, parameters, rate):
        self.rate = rate
        shapes = {}
        for parameter in parameters:
            shapes.setdefault(parameter.shape, []).append(parameter)
        self.groups = list(shapes.values())
        self.momentum = [torch.zeros(len(group), *group[0].shape) for group in self.groups]

    @torch.no_grad()
    def step(self, scale):
        for group, momentum in zip(self.groups, self.momentum):
            gradient = torch.stack([parameter.grad for parameter in group])
            momentum.lerp_(gradient, 0.05)
            update = orthogonalise(gradient.lerp(momentum, 0.95))
            stretch = max(1, group[0].shape[0] / group[0].shape[1]) ** 0.5
            for parameter, change in zip(group, update):
                parameter.mul_(1 - self.rate * scale * 0.02)
                parameter.add_(change, alpha=-self.rate * scale * stretch)


def orthogonalise(matrices):
    x = matrices.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


def batches(data, tokens_per_batch, generator):
    """Yields batches of samples of like length for ever, padded to the longest of each."""
    ids, loss, offsets = data["ids"].astype(numpy.int64), data["loss"], data["offsets"]
    lengths = numpy.diff(offsets)
    while True:
        order = numpy.argsort(lengths + generator.uniform(0, 12, len(lengths)) + lengths * generator.uniform(0, 0.15, len(lengths)))
        chunks, chunk, longest = [], [], 0
        for index in order:
            if lengths[index] < 2 or lengths[index] > SHAPE["context"]:
                continue
            longest_next = max(longest, lengths[index])
            if chunk and longest_next * (len(chunk) + 1) > tokens_per_batch:
                chunks.append(chunk)
                chunk, longest_next = [], lengths[index]
            chunk.append(index)
            longest = longest_next
        generator.shuffle(chunks)
        for chunk in chunks:
            width = max(lengths[index] for index in chunk)
            batch = numpy.zeros((len(chunk), width), numpy.int64)
            learnt = numpy.zeros((len(chunk), width), bool)
            for row, index in enumerate(chunk):
                batch[row, : lengths[index]] = ids[offsets[index] : offsets[index + 1]]
                learnt[row, : lengths[index]] = loss[offsets[index] : offsets[index + 1]]
            yield torch.from_numpy(batch), torch.from_numpy(learnt)


def export(model, average, out):
    """Writes the averaged weights as raw float32 with a JSON index of names and shapes."""
    index = {"shape": SHAPE, "tensors": []}
    with open(out / "weights.bin.part", "wb") as file:
        for (name, parameter), value in zip(model.named_parameters(), average):
            array = value.float().numpy()
            if ".attn_q." in name or ".attn_k." in name:
                heads = SHAPE["heads"] if ".attn_q." in name else SHAPE["kv_heads"]
                array = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
            file.write(numpy.ascontiguousarray(array, "<f4").tobytes())
            index["tensors"].append({"name": name, "shape": list(parameter.shape)})
    (out / "weights.bin.part").rename(out / "weights.bin")
    (out / "weights.json").write_text(json.dumps(index))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens per batch")
    parser.add_argument("--rate", type=float, default=1.0, help="scale of both learning rates")
    parser.add_argument("--resume", type=pathlib.Path, help="a checkpoint.pt to go on from")
    parser.add_argument("--decay", type=float, default=1.0, help="share of the time over which the rates fall to zero")
    parser.add_argument("--seed", type=int, default=1)
    for key in ("dim", "layers", "ffn", "heads", "kv_heads"):
        parser.add_argument(f"--{key}", type=int, default=SHAPE[key])
    options = parser.parse_args()
    for key in ("dim", "layers", "ffn", "heads", "kv_heads"):
        SHAPE[key] = getattr(options, key)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)

    model = Model(SHAPE)
    if options.resume:
        model.load_state_dict(torch.load(options.resume))
    matrices = [p for p in model.blk.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if not any(p is m for m in matrices)]
    muon = Muon(matrices, 0.02 * options.rate)
    adam = torch.optim.AdamW(others, lr=4e-3 * options.rate, betas=(0.9, 0.98), weight_decay=0.0)
    average = [p.detach().clone() for p in model.parameters()]
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)

    data = numpy.load(options.data / "tokens.npz")
    start = time.time()
    limit = options.minutes * 60
    step, seen, smooth, reported, written = 0, 0, None, start, start
    for ids, learnt in batches(data, options.tokens, numpy.random.default_rng(options.seed)):
        done = (time.time() - start) / limit
        if done >= 1:
            break
        scale = min(1, (step + 1) / 30) * min(1, (1 - done) / options.decay)
        mask = learnt[:, 1:]
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model(ids[:, :-1])
            logits = hidden[mask] @ model.token_embd.weight.t()
        loss = functional.cross_entropy(logits.float(), ids[:, 1:][mask])
        loss.backward()
        muon.step(scale)
        for group in adam.param_groups:
            group["lr"] = 4e-3 * options.rate * scale
        adam.step()
        model.zero_grad(set_to_none=True)
        step += 1
        seen += ids.numel()
        decay = min(0.995, step / (step + 10)) * (1 if done < 0.9 else 0.98)
        torch._foreach_lerp_(average, [p.detach() for p in model.parameters()], 1 - decay)
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        now = time.time()
        if now - reported > 15:
            print(f"{(now - start) / 60:5.1f} min  step {step}  {seen / (now - start):.0f} tok/s  loss {smooth:.4f}  rate {scale:.2f}", flush=True)
            reported = now
        if now - written > 120:
            export(model, average, options.out)
            torch.save(model.state_dict(), options.out / "checkpoint.pt")
            written = now
    export(model, average, options.out)
    torch.save(model.state_dict(), options.out / "checkpoint.pt")
    print(f"done: {step} steps, {seen} tokens, {(time.time() - start) / 60:.1f} minutes, loss {smooth:.4f}")


if __name__ == "__main__":
    main()
