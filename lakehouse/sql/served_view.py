"""View of what an endpoint answered, beside what the stream predicted for the same reading."""

from lakehouse.tables.declaration import View, columns

SERVED = View(
    "served_answer",
    "An answer of an endpoint that has landed: of a reading that was asked about again, each one",
    columns("""
        key               string    Key of the reading
        answered_at       timestamp Wall-clock time of the request
        served_version    string    Version that answered
        served_prediction $prediction_type What it answered; NULL where its output was not finite
        served_score      double    The score that it told; NULL of a number
        model_version     string    Version of the stream's prediction; NULL until it is scored
        prediction        $prediction_type The stream's prediction
        is_same           boolean   Whether both predictions are the same; NULL until it is scored
        is_same_version   boolean   Whether one version made both; where it did, they are the same
        request           string    Id of the request and the row's place in it
    """),
    """
WITH known AS (
  SELECT landed_file_id, line, CAST($key AS STRING) AS key FROM $readings
  UNION ALL
  SELECT landed_file_id, line, key FROM $duplicate WHERE source = '$source'
), answers AS (
  SELECT k.key, CAST(GET_JSON_OBJECT(b.raw, '$$._served.at') AS TIMESTAMP) AS answered_at,
    GET_JSON_OBJECT(b.raw, '$$._served.version') AS served_version,
    CAST(GET_JSON_OBJECT(b.raw, '$$._served.prediction') AS $prediction_type) AS served_prediction,
    CAST(GET_JSON_OBJECT(b.raw, '$$._served.score') AS DOUBLE) AS served_score,
    GET_JSON_OBJECT(b.raw, '$$._served.request') AS request
  FROM $bronze_readings AS b
  JOIN known AS k ON k.landed_file_id = b.landed_file_id AND k.line = b.line
  WHERE b.source_file LIKE '$source/served/%'
)
SELECT a.key, a.answered_at, a.served_version, a.served_prediction, a.served_score,
  p.model_version, p.prediction, p.prediction = a.served_prediction AS is_same,
  p.model_version = a.served_version AS is_same_version, a.request
FROM answers AS a LEFT JOIN $predictions AS p ON CAST(p.$key AS STRING) = a.key
""",
)
