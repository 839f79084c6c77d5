"""Metrics for evaluation harnesses."""

from __future__ import annotations

from .rewards import score

__all__ = ["lighteval_metric", "process_results"]


def process_results(doc, results):
    """lm-evaluation-harness: `process_results: !function utils.process_results` in a task's YAML.

    The gold answer is the first of `doc`'s fields `answer`, `solution`, `target`. The metric is
    named `sky_verify`.
    """
    for name in ("answer", "solution", "target"):
        if doc.get(name) is not None:
            return {"sky_verify": score(results[0], doc[name])}
    raise KeyError("the document has none of `answer`, `solution`, `target`")


def lighteval_metric():
    """lighteval: a `SampleLevelMetric` for `LightevalTaskConfig(metrics=[...])`.

    A sample counts when any of its replies equals any of its golds. Needs lighteval.
    """
    from lighteval.metrics.metrics_sample import SampleLevelComputation
    from lighteval.metrics.utils.metric_utils import SampleLevelMetric
    from lighteval.tasks.requests import SamplingMethod

    class SkyVerify(SampleLevelComputation):
        def compute(self, doc, model_response, **kwargs):
            golds = doc.get_golds()
            return max((score(reply, golds) for reply in model_response.final_text), default=0.0)

    def mean(values):
        return sum(values) / len(values)

    return SampleLevelMetric(
        metric_name="sky_verify",
        higher_is_better=True,
        category=SamplingMethod.GENERATIVE,
        sample_level_fn=SkyVerify(),
        corpus_level_fn=mean,
    )
