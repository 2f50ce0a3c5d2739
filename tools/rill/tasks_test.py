"""python -m unittest discover -s tools/rill -p '*_test.py'   (needs only the standard library)"""

import json
import random
import unittest

import tasks


def examples(kind: str, count: int = 300) -> list[tasks.Example]:
    rng = random.Random(3)
    return [tasks.draw(kind, rng, held_out=False) for _ in range(count)]


class TasksTest(unittest.TestCase):
    def test_the_same_seed_writes_the_same_text(self):
        for kind in tasks.KINDS:
            self.assertEqual(examples(kind, 20), examples(kind, 20))

    def test_an_answer_starts_with_a_space_and_a_prompt_does_not_end_with_one(self):
        # So that prompt and answer are tokenized apart as they are together.
        for kind in tasks.KINDS:
            for example in examples(kind):
                self.assertRegex(example.answer, r"^ \S")
                self.assertRegex(example.prompt, r"\S$")

    def test_training_text_is_never_held_out(self):
        for kind in tasks.KINDS:
            self.assertFalse(any(tasks.is_held_out(e) for e in examples(kind)))

    def test_every_fact_is_trained_in_some_wordings(self):
        for table, wordings in tasks.FACTS:
            for subject in table:
                asked = [tasks.Example(tasks.fact_prompt(wording, subject), "")
                         for wording in wordings]
                self.assertGreaterEqual(sum(not tasks.is_held_out(e) for e in asked), 3)

    def test_only_tables_give_table_questions(self):
        rng = random.Random(4)
        for kind in tasks.KINDS:
            self.assertFalse(any(example.table for example in examples(kind)))
        for kind in tasks.TABLES:
            self.assertTrue(all(tasks.draw(kind, rng, held_out=False, table=True).table
                                for _ in range(100)))

    def test_weekdays(self):
        rng = random.Random(5)
        for _ in range(300):
            example = tasks.draw("dates", rng, held_out=False, table=True)
            _, day, sign, steps, *_ = example.prompt.split()
            end = tasks.WEEKDAYS.index(day) + int(sign + steps)
            self.assertEqual(example.answer, f" {tasks.WEEKDAYS[end % 7]}")

    def test_every_animal_has_a_name_of_its_own(self):
        self.assertLessEqual(len(tasks.ANIMALS), len(set(tasks.NAMES)))

    def test_arithmetic(self):
        for example in examples("arithmetic"):
            self.assertEqual(eval(example.prompt.rstrip(" =")), int(example.answer))

    def test_sort(self):
        for example in examples("sort"):
            words, numbers = example.prompt.rstrip(" =").split(": ")
            expected = sorted(map(int, numbers.split()), reverse=words == "sort down")
            self.assertEqual(list(map(int, example.answer.split())), expected)

    def test_brackets(self):
        pairs = {")": "(", "]": "[", "}": "{", ">": "<"}
        for example in examples("brackets"):
            stack = []
            for token in (example.prompt.removeprefix("close: ").rstrip(" =")
                          + example.answer).split():
                if token in pairs:
                    self.assertEqual(stack.pop(), pairs[token])
                else:
                    stack.append(token)
            self.assertEqual(stack, [])

    def test_json(self):
        for example in examples("json"):
            text = example.prompt + example.answer
            record = json.loads(text[text.index("{"):])
            for value in record.values():
                self.assertIn(str(value), text[:text.index("{")])

    def test_dates(self):
        # 2023 is no leap year, like every year of the task.
        import datetime

        names = [name for name, _ in tasks.MONTHS]
        for example in (e for e in examples("dates") if e.prompt.startswith("date")):
            _, day, month, sign, steps, *_ = example.prompt.split()
            start = datetime.date(2023, names.index(month) + 1, int(day))
            end = start + datetime.timedelta(days=int(sign + steps))
            self.assertEqual(example.answer, f" {end.day} {names[end.month - 1]}")


if __name__ == "__main__":
    unittest.main()
