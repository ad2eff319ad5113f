"""The functions and operators of DuckDB that a condition may hold.

A list of what may be, not of what may not: each looks at one row, gives the same answer each time, and its answer is
about as large as what it is given. So there is nothing here that repeats, fills up or counts (`repeat`, `lpad`,
`range`, `list_resize`, `printf`, `bitstring`): DuckDB works out constants before its limit on memory counts.
"""

OPERATORS = """
    + - * / // % ** ^ & | ~ << >> @ || xor
    ~~ !~~ ~~* !~~* ~~~ ^@ @> <@ && -> ->>
    like_escape not_like_escape ilike_escape not_ilike_escape
"""
TEXT = """
    lower lcase upper ucase trim ltrim rtrim reverse concat concat_ws replace translate overlay
    length len strlen char_length character_length octet_length bit_length
    substr substring left right split_part string_split str_split split string_to_array
    contains starts_with ends_with prefix suffix instr strpos position
    strip_accents nfc_normalize ascii ord unicode chr
    regexp_matches regexp_full_match regexp_extract regexp_extract_all regexp_replace regexp_escape
    regexp_split_to_array string_split_regex str_split_regex
    levenshtein editdist3 damerau_levenshtein hamming mismatches jaccard jaro_similarity
    jaro_winkler_similarity parse_filename parse_dirname parse_dirpath parse_path
    md5 sha1 sha256 hash encode decode
"""
NUMBERS = """
    abs ceil ceiling floor round round_even trunc sign sqrt cbrt exp ln log log2 log10 pow power mod fmod fdiv
    add subtract multiply divide greatest least isnan isinf isfinite even gcd lcm bit_count
    greatest_common_divisor least_common_multiple
    pi degrees radians sin cos tan asin acos atan atan2 gamma lgamma factorial
"""
MISSING = "nullif if constant_or_null typeof"
LISTS = """
    list_value list_pack array_value list_contains list_has array_contains array_has
    list_has_any array_has_any list_has_all array_has_all
    list_position list_indexof array_position array_indexof list_extract list_element array_extract
    list_slice array_slice array_length cardinality flatten
    list_concat list_cat array_concat array_cat list_distinct array_distinct list_unique array_unique
    list_sort array_sort list_reverse_sort array_reverse_sort list_intersect array_intersect
    list_aggregate list_aggr array_aggregate array_aggr aggregate
    map map_keys map_values map_entries map_extract map_extract_value element_at
    map_contains map_contains_entry map_contains_value map_from_entries map_concat
    row struct_pack struct_extract struct_extract_at struct_keys struct_values struct_contains struct_has
    json_extract json_extract_string json_extract_path json_extract_path_text json_value json_exists json_valid
    json_type json_keys json_array_length json_contains
"""
DATES = """
    date_part datepart date_diff datediff date_sub datesub date_add date_trunc datetrunc last_day
    year quarter month week day hour minute second millisecond microsecond nanosecond
    decade century millennium era isoyear yearweek weekofyear weekday isodow
    dayofweek dayofmonth dayofyear dayname monthname julian days_in_month
    epoch epoch_ms epoch_us epoch_ns to_timestamp make_date make_time make_timestamp make_timestamp_ms
    strptime try_strptime strftime timezone time_bucket
    to_years to_quarters to_months to_weeks to_days to_hours to_minutes to_seconds to_milliseconds to_microseconds
"""
FUNCTIONS = frozenset(" ".join((OPERATORS, TEXT, NUMBERS, MISSING, LISTS, DATES)).split())
