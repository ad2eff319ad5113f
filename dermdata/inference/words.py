"""What columns are called, and how their words are written, in the languages that tables come in; facts.

Names are compared as `normalize_text` leaves them, their parts parted by blanks. German, Spanish, Portuguese, French,
Italian, Turkish and Chinese besides English: most clinics' tables of the open datasets come from there.
"""

from collections.abc import Collection, Mapping

# manifest field -> what its column is called, the surest first
COLUMN_NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (
        "image", "image id", "image name", "img id", "img", "image path", "file", "file name", "filename", "path",
        "picture", "photo", "bild", "bildname", "bild id", "datei", "dateiname", "foto", "imagen", "imagem",
        "archivo", "arquivo", "fichier", "immagine", "isic id", "md5hash", "id",
        "goruntu", "goruntu adi", "resim", "dosya", "dosya adi", "dosya ad\u0131", "图像", "图片", "文件名", "图像编号",
    ),
    "patient_id": (
        "patient id", "patient", "patientid", "pat id", "patid", "patnr", "pat nr", "patient nr", "patient no",
        "patient number", "patient code", "patienten id", "patientennummer", "subject id", "subject", "participant id",
        "participant", "person id", "user id", "paciente", "id paciente", "paciente id", "paziente", "id paziente",
        "id patient", "code patient",
        "hasta", "hasta no", "hasta id", "患者", "患者编号", "病人", "病人编号",
    ),
    "lesion_id": (
        "lesion id", "lesion", "lesionid", "lesion no", "lesion number", "lesion nr", "laesion", "lasion", "lasion id",
        "laesion id", "lesion code", "id lesion", "lesao", "id lesao", "lesione", "id lesione", "herd",
        "lezyon", "lezyon no", "病灶", "病变编号",
    ),
    "case_id": (
        "case id", "case", "case num", "case no", "case number", "caseid", "case nr", "encounter id", "encounter",
        "fall", "fallnummer", "fall nr", "fall id", "visit id", "caso", "id caso", "cas",
    ),
    "label_raw": (
        "diagnosis", "label", "dx", "diagnostic", "class", "category", "disease", "condition", "disease label",
        "diagnosis label", "finding", "ground truth", "target", "diagnose", "befund", "krankheit", "klasse",
        "diagnostico", "clase", "classe", "diagnostique", "diagnosi", "maladie", "enfermedad", "doenca", "skin condition",
        "histological diagnosis", "clinical diagnosis", "final diagnosis", "diagnosis 3", "diagnosis 1",
        "iddx full", "iddx 3", "iddx 1",
        "tani", "tan\u0131", "teshis", "hastalik", "hastal\u0131k", "诊断", "疾病",
    ),
    "differential": ("differential", "differential diagnosis", "weighted label"),
    "age": (
        "age", "age approx", "age approximate", "age years", "age group", "patient age", "alter", "alter jahre",
        "lebensalter", "edad", "idade", "eta",
        "yas", "hasta yasi", "hasta yas\u0131", "年龄",
    ),
    "sex": (
        "sex", "gender", "sex at birth", "patient sex", "patient gender", "geschlecht", "sexo", "genero", "sexe",
        "genre", "sesso", "genere",
        "cinsiyet", "性别",
    ),
    "body_site": (
        "body site", "site", "anatom site", "anatomic site", "anatomical site", "anatom site general",
        "anatom site general challenge", "localization", "localisation", "location", "region", "body part",
        "body region", "body location", "body position", "anatomical region", "lokalisation", "koerperstelle",
        "korperstelle", "koerperregion", "korperregion", "localizacion", "localizacao", "sitio", "regiao", "zona",
        "localizzazione", "sede",
        "bolge", "yerlesim", "lokalizasyon", "部位", "病变部位",
    ),
    "fitzpatrick": (
        "fitzpatrick", "fitzpatrick skin type", "fitzpatrick type", "fitzpatrick scale", "fitspatrick", "skin type",
        "skintype", "fst", "phototype", "skin phototype", "hauttyp", "fototyp", "fototipo", "fototipo cutaneo",
        "phototype cutane", "tipo de piel", "tipo de pele",
    ),
    "fitzpatrick_range": (
        "skin tone", "skin tone group", "fitzpatrick range", "fitzpatrick group", "skin type group", "fst group",
        "skin type", "fst",
    ),
    "monk": ("monk skin tone", "monk", "mst", "monk scale"),
    "split_official": ("split", "subset", "partition", "data split", "set", "phase", "aufteilung"),
    "fold_official": ("fold", "fold id", "fold number", "cv fold", "kfold"),
    "license": ("license", "licence", "copyright license", "lizenz", "licencia", "licenca"),
    "attribution": ("attribution", "credit", "copyright holder"),
    "caption": ("caption", "description", "text", "report", "beschreibung", "descripcion", "descricao", "legende"),
    "confirmation": (
        "dx type", "diagnosis confirm type", "confirmation", "confirmed by", "diagnosis method", "sicherung",
    ),
}  # fmt: skip

# manifest field -> our word -> theirs
VALUE_WORDS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sex": {
        "female": (
            "female", "f", "w", "woman", "weiblich", "frau", "mujer", "femenino", "hembra", "feminino", "mulher",
            "femme", "feminin", "feminine", "femmina", "femminile", "donna", "femenina", "kadin", "kad\u0131n", "kiz",
            "k\u0131z", "女", "女性",
        ),
        "male": (
            "male", "m", "man", "maennlich", "mannlich", "mann", "hombre", "masculino", "varon", "homem", "homme",
            "masculin", "masculine", "maschio", "maschile", "uomo", "h", "erkek", "男", "男性",
        ),
        "other": (
            "other", "divers", "diverse", "d", "x", "otro", "outro", "autre", "altro", "other or unspecified", "intersex",
            "intersex or non binary",
        ),
    },
    "split_official": {
        "train": ("train", "training", "trn", "learn", "entrenamiento", "treino", "entrainement"),
        "val": ("val", "valid", "validation", "dev", "validierung", "validacion", "validacao"),
        "test": ("test", "tst", "testing", "holdout", "eval", "prueba", "teste"),
    },
    "confirmation": {
        "histopathology": ("histopathology", "histo", "histology", "biopsy", "histologie", "biopsie", "histopathologie"),
        "serial-imaging": ("serial imaging", "follow up", "serial imaging showing no change"),
        "expert-consensus": ("expert consensus", "consensus", "single image expert consensus"),
        "confocal": ("confocal", "confocal microscopy with consensus dermoscopy"),
        "clinical": (
            "clinical", "klinisch", "clinico", "clinique", "clinical assessment only",
            "single contributor clinical assessment",
        ),
    },
}  # fmt: skip

# where these letters stand together, they mean this: Spanish hombre and mujer, Turkish erkek and kadin
LETTERS: Mapping[str, tuple[Mapping[str, str], ...]] = {
    "sex": ({"h": "male", "m": "female"}, {"e": "male", "k": "female"}),
}
# … unless one of these stands there too, whose partner `m` is male
OTHER_LETTERS: Mapping[str, frozenset[str]] = {"sex": frozenset({"f", "w"})}


def find_meanings(field: str, words: Collection[str]) -> dict[str, str]:
    """What the plain words of a column may mean in a field: theirs -> ours."""
    known = {theirs: ours for ours, every in VALUE_WORDS[field].items() for theirs in every}
    present = set(words)
    for letters in LETTERS.get(field, ()):
        if letters.keys() <= present and not present & OTHER_LETTERS[field]:
            known |= letters
    return known


# in their own writing, once case, accents and punctuation are gone
UNKNOWN_WORDS = frozenset(
    {
        "", "na", "n a", "nan", "none", "null", "unknown", "unk", "missing", "not known", "unspecified", "not specified",
        "not available", "unbekannt", "k a", "keine angabe", "desconocido", "desconhecido", "inconnu", "sconosciuto",
        "9999", "999", "no especificado", "no consta", "nao informado", "ignorado", "non precise", "non specifie",
        "non noto", "non specificato", "bilinmiyor", "belirtilmemis", "未知", "不详",
    }
)  # fmt: skip
