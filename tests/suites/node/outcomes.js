// A reporter for mocha that writes what became of each test to the file SUITE_OUTCOMES names.
const fs = require("fs");
const path = require("path");

module.exports = function (runner) {
	const outcomes = {};
	const add = (outcome) => (test) => {
		const id = path.basename(test.file || "") + " " + test.fullTitle();
		if (outcomes[id] !== "failed") outcomes[id] = outcome;
	};
	runner.on("pass", add("passed"));
	runner.on("pending", add("skipped"));
	runner.on("fail", (test, error) => {
		add("failed")(test);
		console.error(test.fullTitle(), error);
	});
	runner.on("end", () => fs.writeFileSync(process.env.SUITE_OUTCOMES, JSON.stringify(outcomes)));
};
