/*-------------------------------------------------------------------------
 *
 * moment.c
 *	  Dates and times: PostgreSQL's text (ISO) and CrateDB's milliseconds since 1970.
 *
 *-------------------------------------------------------------------------
 */
#include "dialect/cratedb/moment.h"

#include <stdlib.h>
#include <string.h>

#include "http/json.h"

#define DAY_MS INT64_C(86400000)

/* PostgreSQL's timestamps begin in 4713 BC and end in 294276. */
#define FIRST_MS (INT64_C(-210866803200000))
#define LAST_MS (INT64_C(9224318015999999))

/* Days since 1970-01-01 of the proleptic Gregorian calendar (H. Hinnant, days_from_civil). */
static int64_t
days_from_date(int64_t year, int month, int day)
{
	int64_t y = year - (month <= 2);
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* The reverse. */
static void
date_from_days(int64_t days, int64_t *year, int *month, int *day)
{
	int64_t z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
	int64_t m = (5 * of_year + 2) / 153;

	*day = (int) (of_year - (153 * m + 2) / 5 + 1);
	*month = (int) (m + (m < 10 ? 3 : -9));
	*year = y + era * 400 + (*month <= 2);
}

/* +05:30:15 as seconds; `at` is behind it afterwards. */
static int
read_offset(char **at)
{
	int sign = **at == '-' ? -1 : 1;
	int seconds = 0;
	int unit = 3600;

	if (**at != '+' && **at != '-')
		return 0;
	do
	{
		seconds += (int) strtol(*at + 1, at, 10) * unit;
		unit /= 60;
	} while (**at == ':');
	return sign * seconds;
}

/* 12:34:56.789 as microseconds. */
static int64_t
read_time(char **at)
{
	int64_t seconds = strtol(*at, at, 10) * 3600;
	int64_t unit = 100000;
	int64_t microseconds = 0;

	if (**at == ':')
		seconds += strtol(*at + 1, at, 10) * 60;
	if (**at == ':')
		seconds += strtol(*at + 1, at, 10);
	if (**at == '.')
		for ((*at)++; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
			microseconds += (**at - '0') * unit;
	return seconds * 1000000 + microseconds;
}

bool
moment_read(const char *text, int64_t *milliseconds)
{
	char *at;
	int64_t year = strtoll(text, &at, 10);
	int64_t microseconds = 0;
	int month;
	int day;

	if (at == text || *at != '-')
		return false;
	month = (int) strtol(at + 1, &at, 10);
	if (*at != '-')
		return false;
	day = (int) strtol(at + 1, &at, 10);
	if (*at == ' ' && at[1] >= '0' && at[1] <= '9')
	{
		microseconds = read_time(&at);
		microseconds -= (int64_t) read_offset(&at) * 1000000;
	}
	if (strcmp(at, " BC") == 0)
		year = 1 - year;
	*milliseconds =
	    days_from_date(year, month, day) * DAY_MS + microseconds / 1000 - (microseconds % 1000 < 0);
	return true;
}

void
moment_read_time(const char *text, int64_t *microseconds, int *offset)
{
	char *at = (char *) text;

	*microseconds = read_time(&at);
	*offset = read_offset(&at);
}

bool
moment_write(Buffer *out, int64_t milliseconds)
{
	int64_t days = milliseconds / DAY_MS - (milliseconds % DAY_MS < 0);
	int64_t rest = milliseconds - days * DAY_MS;
	int64_t year;
	int month;
	int day;

	if (milliseconds < FIRST_MS || milliseconds > LAST_MS)
		return false;
	date_from_days(days, &year, &month, &day);
	buffer_printf(out, "%04lld-%02d-%02d %02d:%02d:%02d.%03d+00%s",
	              (long long) (year > 0 ? year : 1 - year), month, day, (int) (rest / 3600000),
	              (int) (rest / 60000 % 60), (int) (rest / 1000 % 60), (int) (rest % 1000),
	              year > 0 ? "" : " BC");
	return true;
}
