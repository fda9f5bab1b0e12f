"""Writes the torch files beside it, each with the same tensors as safetensors. Needs torch and safetensors.

    python make.py
"""
import collections
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).resolve().parent


def tensors():
    torch.manual_seed(5)
    state = collections.OrderedDict()
    state["f32"] = torch.randn(3, 4, 5)
    state["f16"] = torch.randn(7, 2).half()
    state["bf16"] = torch.randn(9).bfloat16()
    state["f64"] = torch.randn(2, 2).double()
    state["i64"] = torch.arange(5)
    state["bool"] = torch.tensor([True, False, True])
    state["scalar"] = torch.tensor(1.5)
    state["empty"] = torch.empty(0, 4)
    state["parameter"] = torch.nn.Parameter(torch.randn(4, 4))
    whole = torch.randn(6, 8)
    state["whole"] = whole
    state["tied"] = whole
    state["rows"] = whole[2:4]                    # row-major, inside a storage
    state["columns"] = whole[:, 1:6:2]            # not row-major
    state["transposed"] = whole.t()
    state["permuted"] = torch.randn(2, 3, 4).half().permute(2, 0, 1)
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return state


def main():
    state = tensors()
    torch.save(state, HERE / "protocol2.bin")
    torch.save(state, HERE / "protocol4.bin", pickle_protocol=4)
    torch.save(dict(state), HERE / "dict.bin")
    save_file({name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in state.items()},
              HERE / "same.safetensors")


if __name__ == "__main__":
    main()
