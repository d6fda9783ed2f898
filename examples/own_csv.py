"""A CSV file of your own: propose a configuration, then train, evaluate and push.

The same as `tfx-pcgrad init DATA --label …` and `tfx-pcgrad run --config …`.
"""

import csv
import pathlib
import random
import sys

from pcgrad_pipelines.command import main

folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "example")
folder.mkdir(parents=True, exist_ok=True)
random.seed(0)
with (folder / "houses.csv").open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["area", "district", "year_built", "price", "sold"])
    for _ in range(1000):
        area, year = random.randint(30, 200), random.randint(1900, 2020)
        district = random.choice(["north", "south", "east", "west"])
        price = 2 * area + (year - 1900) + 50 * (district == "north") + random.gauss(0, 20)
        sold = int(price + random.gauss(0, 60) < 350)
        writer.writerow([area, district, year, round(price), sold])

configuration = folder / "houses.toml"
configuration.unlink(missing_ok=True)
labels = ["--label", "price", "--label", "sold"]
if main(["init", str(folder / "houses.csv"), *labels, "--config", str(configuration)]):
    sys.exit(1)
sys.exit(main(["run", "--config", str(configuration), "--output", str(folder / "output")]))
