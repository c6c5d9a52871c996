#!/usr/bin/env python3
"""Makes bert.safetensors and bert_hidden.safetensors: Hugging Face's BertForPreTraining, for model_oracle_test.cpp.

    python tests/oracle/make_bert_fixtures.py        (torch, transformers, safetensors; versions are recorded in the file)

Masked-language-model and next-sentence loss over padded samples of two segments; the padding holds tokens that must not matter.
What is recorded: see fixture.py. The folder bert holds the initial weights as save_pretrained() writes them. Of bert_hidden, some
tokens have a word embedding of zeros and are masked as keys; what is recorded has them as -1 behind the others of their sample.
"""
import torch
import torch.nn.functional as F
import transformers

import fixture
from fixture import BATCH, HERE, LENGTH, STEPS, VOCAB

WIDTH, HEADS, FFN = 24, 4, 36


def names_of(tensors):
    fixed = {"bert.embeddings.word_embeddings": "embedding.word", "bert.embeddings.position_embeddings": "embedding.position",
             "bert.embeddings.token_type_embeddings": "embedding.segment", "bert.embeddings.LayerNorm": "embedding.norm",
             "bert.pooler.dense": "pooler", "cls.predictions.transform.dense": "head.transform",
             "cls.predictions.transform.LayerNorm": "head.norm", "cls.predictions": "head", "cls.predictions.decoder": "head",
             "cls.seq_relationship": "next_sentence"}
    modules = {"attention.self.query": "attention.query", "attention.self.key": "attention.key", "attention.self.value": "attention.value",
               "attention.output.dense": "attention.output", "attention.output.LayerNorm": "attention_norm",
               "intermediate.dense": "mlp.up", "output.dense": "mlp.down", "output.LayerNorm": "mlp_norm"}
    result = {}
    for name, tensor in tensors.items():
        module, kind = name.rsplit(".", 1)
        if module in fixed:
            result[f"{fixed[module]}.{kind}"] = tensor
        else:
            parts = module.split(".")  # bert.encoder.layer.N.MODULE
            result[f"layers.{parts[3]}.{modules['.'.join(parts[4:])]}.{kind}"] = tensor
    return result


def make_model(layers, generator):
    made = transformers.BertForPreTraining(transformers.BertConfig(
        vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=layers, num_attention_heads=HEADS, intermediate_size=FFN,
        pad_token_id=VOCAB - 1, max_position_embeddings=16, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        attn_implementation="eager"))
    fixture.draw_weights(made, generator)
    made.tie_weights()
    return made


torch.manual_seed(23)
generator = torch.Generator().manual_seed(23)
model = make_model(2, generator)
model.save_pretrained(HERE / "bert")
model.eval().double()

draw = lambda high, *shape: torch.randint(0, high, shape, generator=generator)
# The last token is the padding, whose embedding gets no gradient there.
tokens, answers = draw(VOCAB - 1, STEPS, BATCH, LENGTH), draw(VOCAB, STEPS, BATCH, LENGTH)
lengths = torch.tensor([LENGTH, 4, 7]).expand(STEPS, BATCH).contiguous()
segments = (torch.arange(LENGTH)[None, None, :] >= lengths[:, :, None] // 2).long().contiguous()
inside = torch.arange(LENGTH)[None, None, :] < lengths[:, :, None]
targets = torch.where(inside & (draw(3, STEPS, BATCH, LENGTH) == 0), answers, torch.tensor(-1))
targets[:, 0, 1] = answers[:, 0, 1]  # at least one
labels = draw(2, STEPS, BATCH)
labels[:, 1] = -1  # counts nothing


def loss_of_outputs(outputs, step):
    masked = F.cross_entropy(outputs.prediction_logits.flatten(0, 1), targets[step].flatten(), ignore_index=-1)
    return masked + F.cross_entropy(outputs.seq_relationship_logits, labels[step], ignore_index=-1)


def outputs_of(step):
    mask = inside[step].long()
    return model(input_ids=tokens[step], attention_mask=mask, token_type_ids=segments[step])


fixture.record("bert", model, names_of, {"tokens": tokens, "targets": targets, "lengths": lengths, "segments": segments, "labels": labels},
               lambda step: outputs_of(step).prediction_logits, lambda step: loss_of_outputs(outputs_of(step), step), __file__, eps=1e-4)

hiding = make_model(1, generator).eval().double()
hidden = (draw(3, STEPS, BATCH, LENGTH) == 0) & inside
hidden[:, :, 0] = False
hidden[:, 0, 1] = True
# Those that are seen, those that are not, the padding.
order = torch.argsort(torch.where(inside, hidden.long(), 2), dim=2, stable=True)
reordered = lambda values: torch.gather(values, 2, order)


def outputs_with_hidden(step):
    words = hiding.bert.embeddings.word_embeddings(tokens[step]) * ~hidden[step][..., None]
    return hiding(inputs_embeds=words, attention_mask=(inside & ~hidden)[step].long(), token_type_ids=segments[step])


def logits_with_hidden(step):
    logits = outputs_with_hidden(step).prediction_logits
    return torch.gather(logits, 1, order[step][..., None].expand_as(logits))


fixture.record("bert_hidden", hiding, names_of,
               {"tokens": reordered(torch.where(hidden, -1, tokens)), "positions": order, "targets": reordered(targets), "lengths": lengths,
                "segments": reordered(segments), "labels": labels},
               logits_with_hidden, lambda step: loss_of_outputs(outputs_with_hidden(step), step), __file__, eps=1e-4)
