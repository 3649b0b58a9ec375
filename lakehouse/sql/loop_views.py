"""Views of what the loop decided and did, what that cost, and what it gained."""

from functools import partial

from lakehouse.sql.quality_views import shared_columns
from lakehouse.tables import DECISION, PROMOTION, SCORING_COST
from lakehouse.tables.declaration import View, columns

_columns = partial(columns, declared=(*SCORING_COST.columns, *PROMOTION.columns, *DECISION.columns))

JUDGED = """
  SELECT *, COUNT(CASE WHEN action IN ('pending', 'rollout') THEN 1 END) OVER (
      PARTITION BY as_of, to_version ORDER BY recorded_at
      ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) > 0 AS is_answer
  FROM {promotion} WHERE action IN ('promote', 'pending', 'rollout', 'refuse')
"""
"""The verdicts, and what became of those that had to wait: for a person, or for a rollout."""

HISTORY = View(
    "production_history",
    "A span of time that a version was in production",
    _columns("""
        model_version      string             Version in production
        champion_from      timestamp          Newest label time when it took over
        champion_to        timestamp          Newest label time when the next one did; NULL for the
            champion
        is_champion        boolean            Whether it is in production now
        action             string             promote, or rollback where it was gone back to
        who, recorded_at
        from_version       string             Version that it took over from; NULL for the first
        reason
        accuracy           double             Its accuracy on the rows that the gate compared on
        accuracy_before    double             Accuracy on the same rows of the version that it took
            over from
        rows_compared      double             How many they were
        probability_better double             Probability that it is the better one, by those rows
        mean_absolute_error double            Of numbers, its error on them, in the label's unit
        mean_absolute_error_before double     That of the version that it took over from
        trained_from, trained_to, trained_rows, changed_at
        ended_by           string             How its time ended: promote or rollback; NULL for the
            champion
        evidence
    """),
    """
WITH moves AS (
  SELECT *, LEAD(as_of) OVER (ORDER BY recorded_at) AS next_as_of,
    LEAD(action) OVER (ORDER BY recorded_at) AS next_action
  FROM $promotion WHERE action IN ('promote', 'rollback')
)
SELECT to_version AS model_version, as_of AS champion_from, next_as_of AS champion_to,
  next_as_of IS NULL AS is_champion, action, who, recorded_at, from_version, reason,
  evidence['challenger_accuracy'] AS accuracy, evidence['champion_accuracy'] AS accuracy_before,
  evidence['rows'] AS rows_compared, evidence['probability_better'] AS probability_better,
  evidence['challenger_mean_absolute_error'] AS mean_absolute_error,
  evidence['champion_mean_absolute_error'] AS mean_absolute_error_before,
  trained_from, trained_to, trained_rows, changed_at, next_action AS ended_by, evidence
FROM moves
""",
)

DECISIONS = View(
    "decision_history",
    "A decision, with the verdict on the challenger where one was trained",
    _columns("""
        as_of, model_version, action, rule, reason
        score                      double Evidence that accuracy has fallen, a natural logarithm;
            NULL of other rules
        threshold                  double What it was held against
        change_at
        drift                      string What has drifted: concept, feature, label, prediction; of
            the policy
        region                     string Where new labels contradict the champion, in words
        confidence, advice
        verdict                    string promote, refuse, pending (it waits for a person); NULL if
            none was trained
        challenger                 string Version that was judged; NULL if training gave none
        verdict_reason             string Why, in words
        probability_better         double Probability that the challenger is the better one
        decided_at
        trained_rows               bigint Rows that the challenger was trained on
        training_seconds           double Wall-clock time from reading the rows to the verdict
        errors_avoided             bigint Against never retraining, on the days until the next
            promotion or rollback
        errors_avoided_against_daily bigint Against retraining daily, on the same days
    """),
    """
WITH decisions AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of, retrain ORDER BY decided_at) AS place FROM
  $decision
),
judged AS ($judged),
verdicts AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of ORDER BY recorded_at) AS place FROM judged WHERE
  NOT is_answer
),
answers AS (
  SELECT * FROM (
    SELECT *, ROW_NUMBER() OVER (PARTITION BY as_of, to_version ORDER BY recorded_at DESC) AS newest
    FROM judged WHERE is_answer) AS j WHERE newest = 1
),
reigns AS (
  SELECT recorded_at, CAST(as_of AS DATE) AS first_day,
    LEAD(CAST(as_of AS DATE)) OVER (ORDER BY recorded_at) AS next_day
  FROM $promotion WHERE action IN ('promote', 'rollback')
),
gained AS (
  SELECT r.recorded_at,
    CAST(SUM(CASE WHEN c.alternative = 'never' THEN c.n_right - c.n_right_otherwise END) AS BIGINT)
    AS of_never, CAST(SUM(CASE WHEN c.alternative = 'daily' THEN c.n_right - c.n_right_otherwise
    END) AS BIGINT) AS of_daily
  FROM reigns AS r JOIN $counterfactual AS c
    ON c.window_date >= r.first_day AND (r.next_day IS NULL OR c.window_date < r.next_day)
  GROUP BY r.recorded_at
)
SELECT d.as_of, d.model_version, d.action, d.rule, ARRAY_JOIN(d.reasons, '; ') AS reason, $score AS
  score, $threshold AS threshold, d.change_at, NULLIF(ARRAY_JOIN(d.drift_kind, ', '), '') AS drift,
  NULLIF(ARRAY_JOIN(d.region, '; '), '') AS region, d.confidence, d.advice,
  COALESCE(a.action, p.action) AS verdict, p.to_version AS challenger,
  CASE WHEN a.reason IS NULL THEN p.reason ELSE CONCAT(p.reason, '; ', a.who, ': ', a.reason) END AS
  verdict_reason, p.evidence['probability_better'] AS probability_better,
  d.decided_at, p.trained_rows, p.evidence['training_seconds'] AS training_seconds, g.of_never AS
  errors_avoided, g.of_daily AS errors_avoided_against_daily
FROM decisions AS d LEFT JOIN verdicts AS p ON d.retrain AND p.as_of = d.as_of AND p.place = d.place
LEFT JOIN answers AS a ON p.action IN ('pending', 'rollout') AND a.as_of = p.as_of
  AND a.to_version = p.to_version
LEFT JOIN gained AS g ON COALESCE(a.action, p.action) = 'promote'
  AND g.recorded_at = COALESCE(a.recorded_at, p.recorded_at)
""",
)

DIFFERENCES = View(
    "version_difference",
    "A verdict × region: what the challenger calls otherwise than the champion",
    _columns("""
        as_of, action, from_version, to_version
        region         string Features in words; NULL for all rows that the gate compared on
        change         string What most of the differing rows are called now, and were before
        n_rows         bigint Rows compared there
        n_differ       bigint Of them, rows that the two call differently
        for_challenger bigint Of those, rows whose label is nearer to the challenger's prediction
        for_champion   bigint Those whose label is nearer to the champion's
        recorded_at
    """),
    """
SELECT as_of, action, from_version, to_version, d.region, d.change, d.rows AS n_rows,
  d.differ AS n_differ, d.for_challenger, d.for_champion, recorded_at
FROM $promotion LATERAL VIEW EXPLODE(differences) places AS d
""",
)

GAIN = View(
    "retraining_gain",
    "A day, without those that the first model was trained on",
    shared_columns("""
        day, is_final
        n_labelled                 bigint Predictions whose label has come
        accuracy                   double Share of them that the models in production got right
        accuracy_without_retraining double Share that the first promoted model would have got right
        errors_avoided             bigint Errors that retraining spared on that day; below 0: that
            it cost
        n_labelled_so_far          bigint Labelled predictions since the first promotion
        accuracy_so_far            double Share of those that the models in production got right
        accuracy_without_so_far    double Share that the first promoted model would have got right
        errors_avoided_so_far      bigint Errors that retraining has spared since the first
            promotion
        accuracy_retrained_daily   double Share that a model trained each midnight would have got
            right
        errors_avoided_against_daily bigint Errors that the loop made fewer than that; below 0:
            more
        errors_avoided_against_daily_so_far bigint The same since the first promotion
        daily_trainings_so_far     bigint Trainings that it would have taken to retrain daily
    """),
    """
WITH days AS (
  SELECT n.window_date, n.n_labelled, n.n_right, n.n_right_otherwise AS right_without, d.trainings,
    d.n_right_otherwise / d.n_labelled AS accuracy_daily, d.n_right - d.n_right_otherwise AS
    against_daily
  FROM $counterfactual AS n
  LEFT JOIN $counterfactual AS d ON d.window_date = n.window_date AND d.alternative = 'daily'
  WHERE n.alternative = 'never' AND n.n_right_otherwise IS NOT NULL
),
summed AS (
  SELECT *, SUM(n_labelled) OVER (ORDER BY window_date) AS labelled,
    SUM(n_right) OVER (ORDER BY window_date) AS right_with,
    SUM(right_without) OVER (ORDER BY window_date) AS right_without_so_far,
    SUM(against_daily) OVER (ORDER BY window_date) AS against_daily_so_far,
    SUM(trainings) OVER (ORDER BY window_date) AS trainings_so_far
  FROM days
),
final AS (
  SELECT p.window_date, p.is_final FROM $profile_metrics AS p
  WHERE $of_whole_days AND p.$id = '*'
)
SELECT s.window_date AS day, f.is_final, s.n_labelled, s.n_right / s.n_labelled AS accuracy,
  s.right_without / s.n_labelled AS accuracy_without_retraining, s.n_right - s.right_without AS
  errors_avoided, CAST(s.labelled AS BIGINT) AS n_labelled_so_far, s.right_with / s.labelled AS
  accuracy_so_far, s.right_without_so_far / s.labelled AS accuracy_without_so_far,
  CAST(s.right_with - s.right_without_so_far AS BIGINT) AS errors_avoided_so_far,
  s.accuracy_daily AS accuracy_retrained_daily, s.against_daily AS errors_avoided_against_daily,
  CAST(s.against_daily_so_far AS BIGINT) AS errors_avoided_against_daily_so_far,
  CAST(s.trainings_so_far AS BIGINT) AS daily_trainings_so_far
FROM summed AS s LEFT JOIN final AS f ON f.window_date = s.window_date
""",
)

COST = View(
    "cost",
    "A micro-batch of scoring, or a training that was judged",
    _columns("""
        kind          string    scoring or training
        as_of         timestamp Newest label time that had landed at the training; NULL of scoring
        query_id      string    Scoring stream's id; NULL of trainings
        batch_id
        model_version string    Version that scored, or that was judged; NULL if training gave none
        rows          bigint    Rows scored, or rows that the version was trained on
        seconds       double    Wall-clock time: of a batch to its commit, of a training to its
            verdict
        recorded_at
    """),
    """
SELECT 'scoring' AS kind, CAST(NULL AS TIMESTAMP) AS as_of, s.query_id, s.batch_id, s.model_version,
  s.rows, s.seconds, s.recorded_at
FROM $scoring_cost AS s
UNION ALL
SELECT 'training', p.as_of, CAST(NULL AS STRING), CAST(NULL AS BIGINT), p.to_version,
  p.trained_rows, p.evidence['training_seconds'], p.recorded_at
FROM ($judged) AS p WHERE NOT p.is_answer
""",
)
