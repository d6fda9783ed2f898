"""The dialect of CSV files: how they are encoded, and how their cells and numbers are written.

A query that is asked of files, instead of reading them one after the other, stands beside it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def _known_encoding(name: str) -> str:
    try:
        # Not `codecs.lookup`, which also knows base64.
        "".encode(name)
    except (LookupError, UnicodeError):
        raise ValueError(f'{name!r} is no encoding; "cp1252" and "utf-16" are some') from None
    return name


class Dialect(BaseModel):
    """How CSV files are written; by default with commas, in UTF-8, numbers with a point.

    Attributes:
        separator: Stands between the cells. A space stands for any number of spaces and tabs.
        quote: Stands around texts that hold separators or line breaks; empty if nothing does.
        encoding: Of the text, by Python's name.
        skip: Number of lines above the table, which are left out.
        header: Whether the first line after them has the columns' names; if not, they are
            `column_1` …
        decimal: Stands before the decimal digits.
        thousands: Stands between groups of three digits; empty if nothing does.
        units: Signs beside a number that do not belong to its value, such as $ and %.
        scales: Letters after a number that multiply it: 2k is 2000, 1.5M is 1500000.
        accounting: Whether (12) is -12.
        sql: A SELECT statement whose rows are taken, instead of those of CSV files; it says itself
            how files are written.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    separator: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        ",", description='one character, as in ";"'
    )
    quote: Literal['"', "'", ""] = Field('"', description="what stands around texts")
    encoding: Annotated[str, AfterValidator(_known_encoding)] = Field(
        "utf-8", description='the encoding of the text, as in "cp1252"'
    )
    skip: int = Field(0, ge=0, description="the number of lines above the table")
    header: bool = Field(True, description="whether the first line has the columns' names")
    decimal: Literal[".", ","] = Field(".", description="what stands before decimal digits")
    thousands: Literal["", ",", ".", " ", "'"] = Field(
        "", description="what stands between groups of three digits"
    )
    units: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (), description='signs beside numbers, as in ["$", "%"]'
    )
    scales: tuple[Literal["k", "K", "M", "B"], ...] = Field(
        (), description='letters after numbers that multiply them, as in ["k", "M"]'
    )
    accounting: bool = Field(False, description="whether (12) is -12")
    sql: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="a SELECT statement whose rows are taken"
    )

    @model_validator(mode="after")
    def _check_marks(self) -> Dialect:
        if self.decimal == self.thousands:
            raise ValueError(f"`decimal` and `thousands` are both {self.decimal!r}; change one")
        if self.separator in ("\n", "\r", self.quote):
            raise ValueError(f"{self.separator!r} cannot be the separator; correct it")
        others = {*self.model_dump(include={*Dialect.model_fields}, exclude_defaults=True)} - {
            "sql"
        }
        if self.sql and others:
            raise ValueError(
                f"`{min(others)}` is for CSV files without `sql`; say it in the query, as in "
                "read_csv('a.csv', delim = ';')"
            )
        return self


PLAIN = Dialect()
