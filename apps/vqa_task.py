#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A task with images: the Python package easy-vqa 1.0 (MIT; 5,000 drawings of one coloured shape on a light
# ground, 48,248 questions) as JSONL and PNG files. Needs Python's standard library alone.
# usage: vqa_task.py WHEEL FOLDER     writes into FOLDER, whole or not at all:
#   images/                 as the package has them
#   describe.jsonl          what half of the training images show, as their questions' answers tell it
#   questions.jsonl         PER_IMAGE questions about each image of the other half; test.jsonl: one each
#   test_shuffled.jsonl     the same rows, each with the image of the next one
#   …_blind.jsonl           the same rows without images
# Invariants: the same wheel gives the same files; an image's rows stand together, as many of each, so that a
# batch of a multiple of them holds whole images, which are computed once; images stand in a hash's order.
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile

SHA256 = 'fcb51b309b78c7b00f97b64cdbcbcf5c105f94da1b39c0796cee5a787c4f650f'
INSIDE = 'easy_vqa/data/'
PER_IMAGE = 4
COLORS = ['black', 'blue', 'brown', 'gray', 'green', 'red', 'teal', 'yellow']
SHAPES = ['circle', 'rectangle', 'triangle']


def order(*names):
    return hashlib.sha256('/'.join(map(str, names)).encode()).digest()


def read(z, part):
    """[(image, [(question, answer)])] of 'train' or 'test', in a hash's order."""
    images = {}
    for question, answer, image in json.loads(z.read(f'{INSIDE}{part}/questions.json')):
        images.setdefault(image, []).append((question, answer))
    return sorted(((f'images/{part}/{i}.png', qs) for i, qs in images.items()), key=lambda x: order(x[0]))


def choices(question):
    if not question.startswith('what'):
        return ['no', 'yes']
    return COLORS if ' color ' in question else SHAPES


def ask(image, question, answer):
    listed = choices(question)
    if answer not in listed:
        sys.exit(f"vqa_task: '{question}' is answered by '{answer}'")
    return dict(image=image, prompt=f'Question: {question}\nAnswer:', completion=f' {answer}',
                choices=[f' {c}' for c in listed])


def shown(questions):
    """The colour and the shape of which the answers speak, None where they don't tell."""
    left = [set(COLORS), set(SHAPES)]
    for question, answer in questions:
        words = set(question.strip('?').split())
        for kind, names in enumerate((COLORS, SHAPES)):
            named = words & set(names)
            if choices(question) is names:
                left[kind] &= {answer}
            elif named and question.startswith('what') or (answer == 'yes') != bool(words & {'no', 'not'}):
                left[kind] &= named or left[kind]
            else:
                left[kind] -= named
    return [next(iter(names)) if len(names) == 1 else None for names in left]


def describe(image, questions):
    color, shape = shown(questions)
    if not (color and shape):
        return []
    told = [('Description:', f'a {color} {shape}'), ('The color of the shape is', color),
            ('The shape is a', shape)]
    return [dict(image=image, prompt=prompt, completion=f' {text}') for prompt, text in told]


def write(folder, name, rows):
    with open(f'{folder}/{name}.jsonl', 'w') as f:
        f.writelines(json.dumps(row) + '\n' for row in rows)


def blind(rows):
    return [{k: v for k, v in row.items() if k != 'image'} for row in rows]


def make(z, folder):
    z.extractall(folder, [n for n in z.namelist() if n.startswith(INSIDE) and n.endswith('.png')])
    os.mkdir(f'{folder}/images')
    for part in ('train', 'test'):
        os.rename(f'{folder}/{INSIDE}{part}/images', f'{folder}/images/{part}')
    shutil.rmtree(f'{folder}/easy_vqa')

    train = read(z, 'train')
    half = len(train) // 2
    write(folder, 'describe', [row for image in train[:half] for row in describe(*image)])
    asked = []
    for image, questions in train[half:]:
        if len(questions) >= PER_IMAGE:
            some = sorted(questions, key=lambda q: order(image, q[0]))[:PER_IMAGE]
            asked += [ask(image, *q) for q in sorted(some)]
    write(folder, 'questions', asked)
    write(folder, 'questions_blind', blind(asked))

    tests = [ask(image, *min(questions, key=lambda q: order(image, q[0])))
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
