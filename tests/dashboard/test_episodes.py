from lakehouse.dashboard.panels import episodes
from lakehouse.dashboard.panels.episodes import episodes_of
from tests.dashboard.models import days, model, moment, promoted, retrained


def in_words(episode):
    """The story with spaces that break."""
    return [sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in episodes.in_words(episode)]


def _model(**rows):
    """Right until 2024-03-11, wrong until its promotion of 2024-03-13, and right after."""
    return model(
        daily=days([0.95] * 10 + [0.75, 0.75] + [0.9] * 5),
        decisions=[retrained("2024-03-13", "2024-03-11")],
        **rows,
    )


def test_a_story_is_the_change_the_alarm_the_answer_and_the_cost():
    change = {
        "as_of": moment("2024-03-13"),
        "action": "retrain",
        "change_at": moment("2024-03-11"),
        "change_from": moment("2024-03-10T22:00"),
        "change_to": moment("2024-03-11T03:00"),
    }
    [episode] = episodes_of(_model(moves=[promoted("2024-03-13", "2")], changes=[change]))
    assert in_words(episode) == [
        "The rule changed 2024-03-11 (90 %: 2024-03-10 22:00 to 2024-03-11 03:00).",
        "Noticed 2024-03-13, 2.0 days later.",
        "Version 2 was promoted the same night.",
        "Accuracy 95.0 % before, 75.0 % during, 90.0 % after. "
        "It cost about 40 errors more than before.",
    ]


def test_an_alarm_without_a_promotion_is_open_and_counts_refusals():
    refused = promoted("2024-03-14", "2", action="refuse")
    [episode] = episodes_of(_model(moves=[refused]))
    assert episode.answered is None
    assert (
        in_words(episode)[2] == "Nothing was promoted after 1 challenger did not pass: it is open."
    )


def test_alarms_until_the_promotion_that_answers_them_are_one_story():
    decisions = [
        retrained("2024-03-13", "2024-03-11"),
        retrained("2024-03-14", "2024-03-11"),
        retrained("2024-03-16", "2024-03-15"),
    ]
    moves = [promoted("2024-03-14", "2"), promoted("2024-03-17", "3")]
    rows = model(daily=days([0.9] * 17), decisions=decisions, moves=moves)
    stories = [(str(each.noticed.date()), each.version) for each in episodes_of(rows)]
    assert stories == [("2024-03-13", "2"), ("2024-03-16", "3")]


def test_a_promotion_before_the_alarm_is_not_its_answer():
    [episode] = episodes_of(_model(moves=[promoted("2024-03-12", "2")]))
    assert episode.answered is None


def test_a_change_of_features_is_not_told_as_a_change_of_the_rule():
    decision = retrained("2024-03-13", "2024-03-11", drift="feature, concept")
    [episode] = episodes_of(model(daily=days([0.9] * 12), decisions=[decision]))
    assert in_words(episode)[0] == "A feature changed 2024-03-11."


def test_a_model_without_labels_has_stories_without_a_cost():
    [episode] = episodes_of(model(decisions=[retrained("2024-03-13", "2024-03-11")]))
    assert in_words(episode)[-1] == "Nothing was promoted: it is open."
