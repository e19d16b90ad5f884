"""ONNX Runtime for embed.py: one JSON list of texts a line in, seconds out. onnx_worker.py MODEL.onnx TOKENIZER.json CORES"""
import json, sys, time
import numpy, onnxruntime, tokenizers

model, tokenizer, cores = sys.argv[1], tokenizers.Tokenizer.from_file(sys.argv[2]), int(sys.argv[3])
tokenizer.no_padding()
tokenizer.enable_truncation(512)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = cores
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
names = [i.name for i in session.get_inputs()]


def embed(texts):
    """A batch is of texts of one length, so nothing is padded."""
    ids = numpy.array([e.ids for e in tokenizer.encode_batch(texts)], dtype=numpy.int64)
    feeds = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
    out = session.run(None, {n: feeds[n] for n in names})[0]
    mean = out.mean(axis=1) if out.ndim == 3 else out
    return mean / numpy.linalg.norm(mean, axis=1, keepdims=True)


for line in sys.stdin:
    texts = json.loads(line)
    start = time.perf_counter()
    if cores == 1:
        for text in texts:
            embed([text])
    else:
        embed(texts)
    print(json.dumps({"seconds": time.perf_counter() - start}), flush=True)
