"""What an assistant remembers of ten people, each in a language, and what they ask later.

`python -m toolkit.memories FILE` writes lines for `python -m app evaluate`. Of what changes, a
memory replaces an older one in almost the same words, and the newest is relevant; of what stays,
memories differ in a name, and age says nothing.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import orjson

from app.evaluate.bm25 import top

_ASKED_AT = datetime(2026, 11, 1, 9, tzinfo=timezone.utc)
# Days ago: what was replaced twice, and what stays of three people.
_REPLACED, _STAYING = (290, 85, 6), (400, 210, 45)


@dataclass(frozen=True)
class _Topic:
    """A question, and statements with the places `{}` for a value, or `{name}` for a person."""

    question: str
    statement: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Person:
    """Whose memories they are: three names, what changes, what stays."""

    names: tuple[str, str, str]
    changing: tuple[_Topic, ...]
    staying: tuple[_Topic, ...]
    chatter: tuple[str, ...]


_DATES = ("2026-02-17", "2026-08-20", "2026-11-12")
_ROOMS = ("214", "308", "117")
_NUMBERS = ("555-0142", "555-0197", "555-0163")
_DOSES = ("3", "2", "1")
_BIRTHDAYS = ("1961-03-09", "1994-07-23", "2015-12-02")


def _person(
    names: tuple[str, str, str],
    changing: tuple[tuple[str, str], ...],
    allergy: tuple[str, str, tuple[str, ...]],
    birthday: tuple[str, str],
    chatter: tuple[str, ...],
) -> _Person:
    values = (_DATES, _ROOMS, _NUMBERS, _DOSES)
    return _Person(
        names,
        tuple(_Topic(*texts, told) for texts, told in zip(changing, values, strict=True)),
        (_Topic(*allergy), _Topic(*birthday, _BIRTHDAYS)),
        chatter,
    )


PEOPLE: Mapping[str, _Person] = {
    "en": _person(
        ("Emma", "Oliver", "Grace"),
        (
            ("When is my dentist appointment?", "The dentist appointment is on {}."),
            ("In which room is the team meeting?", "The team meeting takes place in room {}."),
            ("What is the plumber's phone number?", "The plumber's phone number is {}."),
            (
                "How many tablets do I take in the morning?",
                "I take {} of the blue tablets every morning.",
            ),
        ),
        (
            "What is {name} allergic to?",
            "{name} is allergic to {}.",
            ("peanuts", "shellfish", "milk"),
        ),
        ("When was {name} born?", "{name} was born on {}."),
        ("We watched the rain all evening.", "The new café bakes good bread."),
    ),
    "ko": _person(
        ("서연", "민준", "지우"),
        (
            ("치과 예약이 언제야?", "치과 예약은 {}이다."),
            ("팀 회의는 몇 호실에서 해?", "팀 회의는 {}호실에서 한다."),
            ("배관공 전화번호가 뭐야?", "배관공 전화번호는 {}이다."),
            ("아침에 약을 몇 알 먹어?", "아침마다 파란 약을 {}알 먹는다."),
        ),
        (
            "{name}는 무엇에 알레르기가 있어?",
            "{name}는 {} 알레르기가 있다.",
            ("땅콩", "조개", "우유"),
        ),
        ("{name}의 생일이 언제야?", "{name}의 생일은 {}이다."),
        ("저녁 내내 비 구경을 했다.", "새 카페 빵이 맛있다."),
    ),
    "ja": _person(
        ("美咲", "健太", "陽菜"),
        (
            ("歯医者の予約はいつ?", "歯医者の予約は{}です。"),
            ("チーム会議はどの部屋?", "チーム会議は{}号室で行います。"),
            ("水道屋さんの電話番号は?", "水道屋さんの電話番号は{}です。"),
            ("朝は薬を何錠飲む?", "毎朝、青い薬を{}錠飲みます。"),
        ),
        (
            "{name}さんは何のアレルギー?",
            "{name}さんは{}アレルギーがあります。",
            ("ピーナッツ", "貝", "牛乳"),
        ),
        ("{name}さんの誕生日はいつ?", "{name}さんの誕生日は{}です。"),
        ("夕方ずっと雨を眺めていた。", "新しいカフェのパンはおいしい。"),
    ),
    "zh": _person(
        ("小雨", "建国", "思琪"),
        (
            ("牙医预约是什么时候?", "牙医预约在{}。"),
            ("团队会议在哪个房间?", "团队会议在{}房间开。"),
            ("水管工的电话号码是多少?", "水管工的电话号码是{}。"),
            ("早上吃几片药?", "每天早上吃{}片蓝色的药。"),
        ),
        ("{name}对什么过敏?", "{name}对{}过敏。", ("花生", "贝类", "牛奶")),
        ("{name}的生日是哪天?", "{name}的生日是{}。"),
        ("整个晚上都在看雨。", "新开的咖啡馆面包很好吃。"),
    ),
    "ar": _person(
        ("ليلى", "يوسف", "مريم"),
        (
            ("متى موعد طبيب الأسنان؟", "موعد طبيب الأسنان يوم {}."),
            ("في أي غرفة اجتماع الفريق؟", "اجتماع الفريق في الغرفة {}."),
            ("ما رقم هاتف السباك؟", "رقم هاتف السباك هو {}."),
            ("كم حبة دواء آخذ صباحا؟", "آخذ صباحا {} من حبات الدواء الزرقاء."),
        ),
        (
            "مم يعاني {name} من حساسية؟",
            "يعاني {name} من حساسية تجاه {}.",
            ("الفول السوداني", "المحار", "الحليب"),
        ),
        ("متى ولد {name}؟", "ولد {name} يوم {}."),
        ("شاهدنا المطر طوال المساء.", "المقهى الجديد يخبز خبزا جيدا."),
    ),
    "hi": _person(
        ("अनन्या", "रोहन", "मीरा"),
        (
            ("दाँत के डॉक्टर से मिलना कब है?", "दाँत के डॉक्टर से मिलना {} को है।"),
            ("टीम की बैठक किस कमरे में है?", "टीम की बैठक कमरा {} में है।"),
            ("प्लंबर का फ़ोन नंबर क्या है?", "प्लंबर का फ़ोन नंबर {} है।"),
            ("सुबह कितनी गोलियाँ लेता हूँ?", "हर सुबह {} नीली गोलियाँ लेता हूँ।"),
        ),
        (
            "{name} को किस चीज़ से एलर्जी है?",
            "{name} को {} से एलर्जी है।",
            ("मूँगफली", "सीपी", "दूध"),
        ),
        ("{name} का जन्मदिन कब है?", "{name} का जन्मदिन {} है।"),
        ("शाम भर बारिश देखी।", "नए कैफ़े की रोटी अच्छी है।"),
    ),
    "ru": _person(
        ("Анна", "Иван", "Ольга"),
        (
            ("Когда приём у стоматолога?", "Приём у стоматолога {}."),
            ("В какой комнате встреча команды?", "Встреча команды проходит в комнате {}."),
            ("Какой номер телефона у сантехника?", "Номер телефона сантехника {}."),
            ("Сколько таблеток я принимаю утром?", "Каждое утро я принимаю синие таблетки: {}."),
        ),
        (
            "На что аллергия, {name}?",
            "{name}: аллергия на {}.",
            ("арахис", "моллюсков", "молоко"),
        ),
        ("Когда день рождения, {name}?", "{name}: день рождения {}."),
        ("Весь вечер смотрели на дождь.", "В новом кафе вкусный хлеб."),
    ),
    "de": _person(
        ("Lena", "Jonas", "Greta"),
        (
            ("Wann ist mein Termin beim Zahnarzt?", "Der Termin beim Zahnarzt ist am {}."),
            ("In welchem Raum ist die Besprechung?", "Die Besprechung ist in Raum {}."),
            ("Wie ist die Nummer des Klempners?", "Die Nummer des Klempners ist {}."),
            (
                "Wie viele Tabletten nehme ich morgens?",
                "Ich nehme morgens {} der blauen Tabletten.",
            ),
        ),
        (
            "Wogegen ist {name} allergisch?",
            "{name} ist allergisch gegen {}.",
            ("Erdnüsse", "Muscheln", "Milch"),
        ),
        ("Wann wurde {name} geboren?", "{name} wurde am {} geboren."),
        ("Den ganzen Abend sahen wir dem Regen zu.", "Das neue Café backt gutes Brot."),
    ),
    "fr": _person(
        ("Camille", "Louis", "Manon"),
        (
            ("Quand est mon rendez-vous chez le dentiste ?", "Rendez-vous chez le dentiste le {}."),
            ("Dans quelle salle est la réunion ?", "La réunion a lieu dans la salle {}."),
            (
                "Quel est le numéro du plombier ?",
                "Le numéro du plombier est le {}.",
            ),
            (
                "Combien de comprimés je prends le matin ?",
                "Je prends {} des comprimés bleus le matin.",
            ),
        ),
        (
            "À quoi {name} est allergique ?",
            "{name} est allergique à ceci : {}.",
            ("arachides", "coquillages", "lait"),
        ),
        ("Quand est l'anniversaire de {name} ?", "L'anniversaire de {name} est le {}."),
        ("Nous avons regardé la pluie toute la soirée.", "Le nouveau café fait du bon pain."),
    ),
    "es": _person(
        ("Lucía", "Mateo", "Elena"),
        (
            ("¿Cuándo es mi cita con el dentista?", "La cita con el dentista es el {}."),
            ("¿En qué sala es la reunión del equipo?", "La reunión del equipo es en la sala {}."),
            (
                "¿Cuál es el teléfono del fontanero?",
                "El teléfono del fontanero es el {}.",
            ),
            (
                "¿Cuántas pastillas tomo por la mañana?",
                "Tomo {} de las pastillas azules por la mañana.",
            ),
        ),
        (
            "¿A qué es alérgica la persona {name}?",
            "{name} tiene alergia a esto: {}.",
            ("cacahuetes", "marisco", "leche"),
        ),
        ("¿Cuándo cumple años {name}?", "{name} cumple años el {}."),
        ("Vimos llover toda la tarde.", "La nueva cafetería hace buen pan."),
    ),
}


@dataclass(frozen=True)
class _Memory:
    text: str
    created_at: datetime


def lines() -> Iterator[dict[str, Any]]:
    """What is asked, the memories as BM25 orders them, and their times."""
    for language, person in PEOPLE.items():
        yield from _lines(language, person)


def _lines(language: str, person: _Person) -> Iterator[dict[str, Any]]:
    memories: list[_Memory] = []
    asked: list[tuple[str, str, int]] = []
    for topic in person.changing:
        for value, days in zip(topic.values, _REPLACED, strict=True):
            memories.append(_memory(topic.statement.format(value), days))
        asked.append(("changing", topic.question, len(memories) - 1))
    for topic in person.staying:
        for name, value, days in zip(person.names, topic.values, _STAYING, strict=True):
            asked.append(("staying", topic.question.format(name=name), len(memories)))
            memories.append(_memory(topic.statement.format(value, name=name), days))
    memories += [_memory(text, days) for text, days in zip(person.chatter, (30, 2), strict=True)]
    for number, (kind, question, relevant) in enumerate(asked):
        order = _first_stage(f"{language}{number}", question, memories)
        yield {
            "id": f"{language}-{kind}-{number}",
            "query": question,
            "documents": [memories[place].text for place in order],
            "relevant": [order.index(relevant)],
            "created_at": [memories[place].created_at.isoformat() for place in order],
            "asked_at": _ASKED_AT.isoformat(),
        }


def _memory(text: str, days: int) -> _Memory:
    return _Memory(text, _ASKED_AT - timedelta(days=days))


def _first_stage(seed: str, question: str, memories: list[_Memory]) -> list[int]:
    """Places of the memories by BM25, those without a word of the question at the end."""
    # Ties, of which near-duplicates make many, must not tell what is newest.
    places = list(range(len(memories)))
    random.Random(seed).shuffle(places)
    texts = {str(place): memories[place].text for place in places}
    found = [int(id) for id in top(texts, {"": question}, len(texts))[""]]
    return found + [place for place in places if place not in found]


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(
        b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines())
    )
