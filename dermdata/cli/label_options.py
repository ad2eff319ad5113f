"""What the commands with `--labels SPACE` say of it in their help."""

LABELS_HELP = (
    "Name the classes of a label space: ham7, isic8, pad6, malignancy, …, a file (.toml, .tsv, .txt), "
    "or concept,concept+concept,…"
)
STRICT_HELP = "Exit 1, with nothing written, if a row has no class in SPACE."
