"""English contractions and what they stand for."""

EXPANSIONS = {
    "ain't": "is not",
    "can't": "cannot",
    "could've": "could have",
    "how'd": "how did",
    "how'll": "how will",
    "how's": "how is",
    "i'm": "I am",
    "it's": "it is",
    "let's": "let us",
    "ma'am": "madam",
    "might've": "might have",
    "must've": "must have",
    "o'clock": "of the clock",
    "shan't": "shall not",
    "she's": "she is",
    "he's": "he is",
    "should've": "should have",
    "that's": "that is",
    "there's": "there is",
    "what's": "what is",
    "when's": "when is",
    "where'd": "where did",
    "where's": "where is",
    "who's": "who is",
    "why's": "why is",
    "won't": "will not",
    "would've": "would have",
    "y'all": "you all",
}
# Endings that expand after any word; tried only when the whole word is not listed.
ENDINGS = {"n't": " not", "'ve": " have", "'re": " are", "'ll": " will", "'d": " would"}
