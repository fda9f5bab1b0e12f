"""Writes a tiny checkpoint, adapters for it and what PEFT makes of them. Needs torch, transformers >= 5, peft and
safetensors.

    python make.py

base/      the checkpoint (f16, hf layout, tied head)
<name>/    an adapter folder as PEFT saves it
expected.safetensors
    <name>.logits          logits of two decoder steps with the adapter on, not merged
    <name>.merged.<tensor> every tensor that PEFT's own merge changes, merged with untied weights
"""
import copy
import json
import shutil
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import Florence2Config, Florence2ForConditionalGeneration

HERE = Path(__file__).resolve().parent
SIDE, IMAGE_TOKENS, IMAGE_TOKEN, VOCABULARY = 64, 5, 23, 24
ALL = ["qkv", "proj", "fc1", "fc2", "conv", "image_projection", "q_proj", "v_proj", "out_proj", "shared", "lm_head"]


def tiny_model():
    torch.manual_seed(3)
    config = Florence2Config(
        vision_config=dict(embed_dim=[4, 4, 8, 8], depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 2],
                           num_groups=[2, 1, 2, 4], window_size=3, mlp_ratio=2.0, projection_dim=8,
                           max_position_embeddings=3),
        text_config=dict(model_type="bart", d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                         decoder_attention_heads=2, encoder_ffn_dim=12, decoder_ffn_dim=12, vocab_size=VOCABULARY,
                         max_position_embeddings=20, activation_function="gelu", attn_implementation="eager"),
        image_token_id=IMAGE_TOKEN)
    model = Florence2ForConditionalGeneration(config).eval()
    for name, parameter in model.named_parameters():
        gain = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = (gain + 0.4 * torch.randn(parameter.shape)).half().float()
    model.tie_weights()
    return model


def write_base(model):
    folder = HERE / "base"
    folder.mkdir(exist_ok=True)
    state = {n: t.half().contiguous() for n, t in model.state_dict().items()
             if "embed_tokens" not in n and n != "lm_head.weight" and "pos_idx_to_embed" not in n}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    config = model.config.to_dict()
    vision, text = config["vision_config"], config["text_config"]
    keep_vision = ["embed_dim", "depths", "num_heads", "num_groups", "patch_size", "patch_stride", "patch_padding",
                   "patch_prenorm", "window_size", "projection_dim", "max_position_embeddings"]
    keep_text = ["d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads",
                 "encoder_ffn_dim", "decoder_ffn_dim", "vocab_size", "max_position_embeddings"]
    (folder / "config.json").write_text(json.dumps({
        "model_type": "florence2",
        "vision_config": {"model_type": "florence_vision", "mlp_ratio": 2, **{k: vision[k] for k in keep_vision}},
        "text_config": {"model_type": "bart", **{k: text[k] for k in keep_text}}}, indent=1) + "\n")
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": SIDE, "width": SIDE}}) + "\n")


def logits(model):
    n = 3 * SIDE * SIDE
    pixels = (((torch.arange(n) * 37 + 11) % 255 - 127).float() / 64).reshape(SIDE * SIDE, 3).T.reshape(1, 3, SIDE, SIDE)
    ids = torch.tensor([[IMAGE_TOKEN] * IMAGE_TOKENS + [0, 11, 2]])
    with torch.no_grad():
        return model(input_ids=ids, pixel_values=pixels, decoder_input_ids=torch.tensor([[2, 7]])).logits[0].clone()


def untied(model):
    model = copy.deepcopy(model)
    shared = model.model.language_model.shared.weight
    model.lm_head.weight = torch.nn.Parameter(shared.detach().clone())
    for side in (model.model.language_model.encoder, model.model.language_model.decoder):
        side.embed_tokens.weight = torch.nn.Parameter(shared.detach().clone())
    model.config.tie_word_embeddings = model.config.text_config.tie_word_embeddings = False
    return model


def add(base, name, expected, **options):
    torch.manual_seed(len(name))
    peft = get_peft_model(copy.deepcopy(base), LoraConfig(**options)).eval()
    for key, parameter in peft.named_parameters():
        if ".lora_magnitude" in key:
            parameter.data *= 1 + 0.3 * torch.rand(parameter.shape)
        elif ".lora_" in key or "modules_to_save" in key:
            parameter.data = 0.3 * torch.randn(parameter.shape)
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    peft.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    expected[f"{name}.logits"] = logits(peft)
    plain = untied(base)
    merged = PeftModel.from_pretrained(untied(base), folder).merge_and_unload()
    before = plain.state_dict()
    for key, tensor in merged.state_dict().items():
        if not torch.equal(tensor, before[key]):
            expected[f"{name}.merged.{key}"] = tensor.contiguous()


def main():
    base, expected = tiny_model(), {}
    write_base(base)
    expected["base.logits"] = logits(base)
    add(base, "lora", expected, r=3, lora_alpha=5, target_modules=ALL)
    add(base, "rslora", expected, r=4, lora_alpha=3, use_rslora=True, target_modules=["q_proj", "fc1", "conv", "lm_head"],
        rank_pattern={"q_proj": 2}, alpha_pattern={"decoder.layers.0.fc1": 7, "conv": 1}, bias="lora_only")
    add(base, "dora", expected, r=2, lora_alpha=2, use_dora=True, target_modules=ALL)
    add(base, "saved", expected, r=2, lora_alpha=2, target_modules=["k_proj", "decoder.embed_tokens"],
        modules_to_save=["image_proj_norm", "lm_head"], lora_bias=False)
    add(base, "biased", expected, r=2, lora_alpha=3, target_modules=["q_proj", "qkv"], lora_bias=True)
    save_file(expected, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
