"""Chains from the size of a model to its accuracy, one per file, found by name.

A file defines

    def predict(answers: Answers, params: float, rng: np.random.Generator) -> NDArray

which gives the predicted accuracy of a new run of this size and then its draws, each with other
items, other noise of the runs and of the new one, and another fit; or raises UserError.
"""
