"""What a trained model says of every sequence there is to train on, for a smaller one to learn.

    python -m training.teacher TEACHER --base STUDENT --data train-v1.1.json --out LOGITS

TEACHER is what training.export or training.quantize wrote, such as a bundled model, and is run by
ONNX Runtime: in INT8 it is fast on any processor. STUDENT is a transformers folder, of another
family and tokenizer if need be: the teacher reads the same texts as its own tokens, and what it
says of them is carried over to the student's by their characters. Questions and pairs of paragraphs
are those the student will be asked, each of them once; a paragraph longer than --longest, or than
the teacher can read, is read in overlapping windows. With --own-paragraphs the other ones are not
read, which saves half: of those "no answer" is written, for certain, as the files have it.

That takes hours. SIGTERM or Ctrl-C ends it after the batch, and the same command goes on; files of
--data that are written already cost nothing, so that more can be added. The files are described in
logits.py, how a student is trained on them in distil.py.
"""

import argparse
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training import parts
from training.activations import session_options
from training.batches import padded, stack
from training.data import LONGEST_QUESTION, Corpus, Frame, Framed, Tokenized, split, whole
from training.export import OUTPUTS
from training.logits import Asked, LogitsFile
from training.stretch import alone_in, stop_requests
from training.train import add_corpus, read_corpus

# Larger ones were slower by a sixth: what passes between layers should stay in the cache.
BATCH_TOKENS = 2048
FLUSH_SECONDS = 60

Logits = NDArray[np.float32]

# So far below any logit that, next to the own paragraph, the other one has no part in an answer.
NO_ANSWER = -100.0


class Teacher:
    """A trained model with its own tokens of a corpus, read `longest` at a time, or with `own` of
    the questions' own paragraphs alone."""

    def __init__(
        self, folder: Path, corpus: Corpus, longest: int, threads: int, own: bool = False
    ) -> None:
        self.corpus = corpus
        self.own = own
        graph = folder / parts.GRAPH
        self.longest = min(longest, _longest(graph))
        options = session_options()
        options.intra_op_num_threads = threads
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        # The graph's hash tells the weights beside it too: it holds their checksums.
        self.name = f"{hashlib.sha256(graph.read_bytes()).hexdigest()}, {self.longest} tokens"
        if own:
            self.name += ", own paragraphs"
        tokenizer = whole(Tokenizer.from_file(str(folder / "tokenizer.json")))
        self._frame = Frame.of(tokenizer)
        self._frame.check(self.longest)
        self._paragraphs = split([paragraph.text for paragraph in corpus.paragraphs], tokenizer)
        self._questions = [
            question.ids[:LONGEST_QUESTION]
            for question in split([question.text for question in corpus.questions], tokenizer)
        ]

    def batches(self, sequences: list[Asked]) -> list[list[Asked]]:
        """The sequences to read, the longest first, so that little is padded."""
        sequences = [asked for asked in sequences if self._reads(asked)]
        size = {asked: (self._length(asked), len(self._firsts(asked))) for asked in sequences}
        batches: list[list[Asked]] = []
        width = tokens = 0
        for asked in sorted(sequences, key=lambda asked: size[asked], reverse=True):
            length, windows = size[asked]
            if not batches or tokens + windows * width > BATCH_TOKENS:
                batches.append([])
                width, tokens = padded(length), 0
            batches[-1].append(asked)
            tokens += windows * width
        return batches

    def say(self, batch: list[Asked]) -> Iterator[tuple[Asked, Logits]]:
        """For every sequence its start and end logits, [1 + tokens, 2], of the first position and
        of the student's tokens of the paragraph."""
        windows = [self._windows(asked) for asked in batch]
        inputs = stack([framed for some in windows for framed in some], pad_id=0)._asdict()
        feeds = {each.name: inputs[each.name].numpy() for each in self._session.get_inputs()}
        rows = iter(np.stack(self._session.run(OUTPUTS, feeds), axis=-1))
        for asked, some in zip(batch, windows, strict=True):
            logits = [next(rows)[[0, *range(window.first, window.last + 1)]] for window in some]
            merged = merge(logits, self._firsts(asked))
            paragraph = self.corpus.paragraph(*asked)
            split_as = (self._paragraphs[paragraph], self.corpus.paragraphs[paragraph])
            yield asked, np.concatenate([merged[:1], carry(merged[1:], *split_as)])

    def unread(self, sequences: list[Asked]) -> Iterator[tuple[Asked, Logits]]:
        """For every sequence that is not read what `say` would, if it were certain of no answer."""
        for asked in sequences:
            if not self._reads(asked):
                paragraph = self.corpus.paragraphs[self.corpus.paragraph(*asked)]
                certain = np.full((1 + len(paragraph.ids), 2), -np.inf, np.float32)
                certain[0] = NO_ANSWER
                yield asked, certain

    def _reads(self, asked: Asked) -> bool:
        return not (self.own and asked.elsewhere)

    def _room(self, asked: Asked) -> int:
        return self.longest - len(self._frame) - len(self._questions[asked.question])

    def _length(self, asked: Asked) -> int:
        """Tokens of the longest window of a sequence."""
        passage = self._paragraphs[self.corpus.paragraph(*asked)].ids
        return min(self.longest, self.longest - self._room(asked) + len(passage))

    def _firsts(self, asked: Asked) -> list[int]:
        """The passage's token at which each window of a sequence begins."""
        room = self._room(asked)
        last = max(0, len(self._paragraphs[self.corpus.paragraph(*asked)].ids) - room)
        return [*range(0, last, room // 2), last]

    def _windows(self, asked: Asked) -> list[Framed]:
        passage = self._paragraphs[self.corpus.paragraph(*asked)].ids
        question, room = self._questions[asked.question], self._room(asked)
        return [self._frame.around(question, passage[f : f + room]) for f in self._firsts(asked)]


def _longest(graph: Path) -> int:
    """Tokens that a graph has positions for. MPNet's table has two rows that no token uses; BERT's
    has not, but can spare them."""
    constants = onnx.load(graph, load_external_data=False).graph.initializer
    for tensor in constants:
        if tensor.name.endswith("positions.weight"):
            return int(tensor.dims[0]) - 2
    raise ValueError(f"{graph} was not written by training.export: it has no positions.weight.")


def merge(windows: list[Logits], firsts: list[int]) -> Logits:
    """The logits of a passage, [1 + tokens, 2], the first position's before the tokens', from those
    of windows that begin at these tokens.

    A token's are taken from the window in which it is furthest from the edges; the first
    position's are the least ones, as a paragraph says nothing only if no part of it does.
    """
    merged = np.zeros((firsts[-1] + len(windows[-1]), 2), np.float32)
    merged[0] = np.min([logits[0] for logits in windows], axis=0)
    inside = np.full(len(merged) - 1, -1)
    for first, logits in zip(firsts, windows, strict=True):
        count = len(logits) - 1
        distance = np.minimum(np.arange(count), np.arange(count)[::-1])
        there = slice(first, first + count)
        better = distance > inside[there]
        merged[1:][there][better] = logits[1:][better]
        inside[there][better] = distance[better]
    return merged


def carry(logits: Logits, of: Tokenized, to: Tokenized) -> Logits:
    """Start and end logits of one tokenizer's tokens, for another's tokens of the same text.

    A start goes to the token where an answer that starts there would, an end likewise. Tokens that
    get several add up their probabilities; one that gets none has none.
    """
    carried = np.full((len(to.ids), 2), -np.inf, np.float32)
    if len(of.ids) and len(to.ids):
        for side, token in enumerate(to.tokens_of(of.offsets[:, 0], of.offsets[:, 1])):
            at = token.clip(0, len(to.ids) - 1)
            np.logaddexp.at(carried[:, side], at, logits[:, side])
    return carried


def write(teacher: Teacher, file: LogitsFile) -> bool:
    """Write what the teacher says of the sequences of a file; whether it is finished."""
    batches = teacher.batches(file.sequences)
    done = already = file.begin(teacher.name, len(batches))
    if not done:
        for asked, logits in teacher.unread(file.sequences):
            file.write(asked, logits)
    began = flushed = time.monotonic()
    with stop_requests() as signals:
        while done < len(batches) and not signals:
            for asked, logits in teacher.say(batches[done]):
                file.write(asked, logits)
            done += 1
            now = time.monotonic()
            if now - flushed > FLUSH_SECONDS or done == len(batches):
                file.flush(done)
                flushed = now
                seconds = (now - began) / (done - already)
                print(
                    f"{file.path}: {done} of {len(batches)} batches, {seconds:.2f} s each",
                    flush=True,
                )
        file.flush(done)
    return done == len(batches)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training.teacher", description=__doc__.split("\n")[0]
    )
    parser.add_argument("teacher", type=Path, help="folder of the trained model.onnx")
    add_corpus(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder of logits")
    parser.add_argument("--longest", type=int, default=384, help="tokens in a window (default 384)")
    parser.add_argument(
        "--own-paragraphs", action="store_true", help="do not read the other ones: no answer there"
    )
    parser.add_argument("--pid-file", type=Path, help="file that holds the process id meanwhile")
    args = parser.parse_args(arguments)
    with alone_in(args.out, args.pid_file):
        corpus = read_corpus(args)
        teacher = Teacher(args.teacher, corpus, args.longest, args.threads, args.own_paragraphs)
        for data, questions in zip(args.data, corpus.parts, strict=True):
            if not write(teacher, LogitsFile(args.out, data, corpus, questions)):
                return


if __name__ == "__main__":
    main()
