/*-------------------------------------------------------------------------
 *
 * config.c
 *	  The settings of the server: one table, three places they come from.
 *
 *-------------------------------------------------------------------------
 */
#include "config/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/list.h"

typedef enum SettingKind
{
	SETTING_TEXT,
	SETTING_PORT,   /* 0 turns it off */
	SETTING_NUMBER, /* at least 1 */
	SETTING_SWITCH  /* on or off */
} SettingKind;

typedef enum SettingFlags
{
	SETTING_SECRET = 1, /* no flag: a list of processes would show it */
	SETTING_UNBUILT = 2 /* accepted; its door is not there yet */
} SettingFlags;

typedef struct Setting
{
	const char *name;
	SettingKind kind;
	int flags;
	size_t offset; /* in Config */
	const char *value;
	const char *help;
} Setting;

#define SETTING(field, kind, flags, value, help)                                                   \
	{                                                                                              \
#field, kind, flags, offsetof(Config, field), value, help                                  \
	}

static const Setting settings[] = {
    SETTING(data, SETTING_TEXT, 0, NULL, "the data directory"),
    SETTING(listen, SETTING_TEXT, 0, "127.0.0.1", "addresses to listen on, commas between"),
    SETTING(postgres_port, SETTING_PORT, 0, "5432", "door for PostgreSQL's clients"),
    SETTING(materialize_port, SETTING_PORT, 0, "6875", "door for Materialize's clients"),
    SETTING(cratedb_port, SETTING_PORT, 0, "4200", "door for CrateDB's clients"),
    SETTING(databend_port, SETTING_PORT, 0, "8000", "door for Databend's clients"),
    SETTING(console_port, SETTING_PORT, SETTING_UNBUILT, "6874", "door for browsers"),
    SETTING(native_port, SETTING_PORT, 0, "0", "PostgreSQL itself, without a hop"),
    SETTING(unix_socket_directory, SETTING_TEXT, 0, NULL, "a socket of the PostgreSQL door, too"),
    SETTING(postgres, SETTING_TEXT, 0, NULL, "connection string of an existing PostgreSQL"),
    SETTING(postgres_bin, SETTING_TEXT, 0, FRESHET_DEFAULT_POSTGRES_BIN,
            "directory of PostgreSQL's programs"),
    SETTING(postgres_password, SETTING_TEXT, SETTING_SECRET, NULL,
            "password of the role postgres, if it has none yet"),
    SETTING(user, SETTING_TEXT, 0, NULL, "whom to become when started by root"),
    SETTING(tls_cert, SETTING_TEXT, 0, NULL, "certificate chain (PEM) instead of the one made"),
    SETTING(tls_key, SETTING_TEXT, 0, NULL, "private key (PEM) of that certificate"),
    SETTING(trusted_roles, SETTING_TEXT, 0, "postgres,crate,root",
            "roles that enter from this machine without a password"),
    SETTING(trusted_doors, SETTING_TEXT, 0, "postgres,materialize,cratedb,databend,native",
            "doors at which they do, commas between"),
    SETTING(database_aliases, SETTING_TEXT, 0, "doc:doc,public crate:doc,public admin default",
            "names[:search_path] that lead to the database " DEFAULT_DATABASE),
    SETTING(databend_lenient, SETTING_SWITCH, 0, "on",
            "for Databend's older clients: find a table in the database used last, and columns by "
            "place"),
    SETTING(max_connections, SETTING_NUMBER, 0, "500", "sessions PostgreSQL takes at once"),
    SETTING(http_body_megabytes, SETTING_NUMBER, 0, "100", "the largest body of an HTTP request"),
};

#define SETTING_COUNT (sizeof settings / sizeof settings[0])

/* The values as text; the first place that gives one wins. */
typedef struct Given
{
	char *value[SETTING_COUNT];
} Given;

/* The index of the setting with this name, in which - may stand for _; or -1. */
static int
find_setting(const char *name, size_t length, bool dashes)
{
	size_t i;
	size_t j;

	for (i = 0; i < SETTING_COUNT; i++)
	{
		const char *known = settings[i].name;

		if (strlen(known) != length)
			continue;
		for (j = 0; j < length; j++)
			if (name[j] != (dashes && known[j] == '_' ? '-' : known[j]))
				break;
		if (j == length)
			return (int) i;
	}
	return -1;
}

/* Enter a value unless a better place gave one already. */
static void
give(Given *given, int setting, const char *value, size_t length)
{
	if (given->value[setting] == NULL)
		given->value[setting] = strndup(value, length);
}

/*
 * Flags: --name value or --name=value. The rest begins at the first word that is
 * none, after `--`, or, where other flags may follow, at the first unknown one.
 */
static bool
read_flags(Given *given, int count, char **arguments, bool others_follow, int *rest, char *problem)
{
	int i;

	for (i = 0; i < count; i++)
	{
		const char *flag = arguments[i];
		const char *value;
		size_t length;
		int setting;

		if (strcmp(flag, "--") == 0)
		{
			i++;
			break;
		}
		if (strncmp(flag, "--", 2) != 0)
			break;
		length = strcspn(flag + 2, "=");
		setting = find_setting(flag + 2, length, true);
		if (setting < 0 || (settings[setting].flags & SETTING_SECRET))
		{
			if (others_follow)
				break;
			snprintf(problem, CONFIG_PROBLEM, "unknown option \"%.*s\"", (int) length + 2, flag);
			return false;
		}
		if (flag[2 + length] == '=')
			value = flag + 2 + length + 1;
		else if (i + 1 < count)
			value = arguments[++i];
		else
		{
			snprintf(problem, CONFIG_PROBLEM, "option \"%s\" needs a value", flag);
			return false;
		}
		/* Of a flag given twice the last one counts. */
		free(given->value[setting]);
		given->value[setting] = copy_string(value);
	}
	*rest = i;
	return true;
}

/* Environment: FRESHET_NAME. */
static void
read_environment(Given *given)
{
	size_t i;
	size_t j;

	for (i = 0; i < SETTING_COUNT; i++)
	{
		char name[64] = "FRESHET_";
		const char *value;

		for (j = 0; settings[i].name[j] != '\0'; j++)
			name[8 + j] = (char) toupper((unsigned char) settings[i].name[j]);
		name[8 + j] = '\0';
		value = getenv(name);
		if (value != NULL && *value != '\0')
			give(given, (int) i, value, strlen(value));
	}
}

/*
 * One line of the file: `name = value`. A value may stand in single quotes, with
 * two for one; without them it ends at a # or at the end of the line.
 */
static bool
read_line(Given *given, char *line, int number, char *problem)
{
	const char *blanks = " \t\r\n";
	char *name = line + strspn(line, blanks);
	size_t name_length = strcspn(name, "= \t\r\n#");
	char *at = name + name_length;
	char *value;
	size_t length = 0;
	int setting;

	if (*name == '\0' || *name == '#')
		return true;
	at += strspn(at, blanks);
	if (*at != '=')
	{
		snprintf(problem, CONFIG_PROBLEM, "freshet.conf:%d: expected \"name = value\"", number);
		return false;
	}
	setting = find_setting(name, name_length, false);
	if (setting < 0 || settings[setting].offset == offsetof(Config, data))
	{
		snprintf(problem, CONFIG_PROBLEM, "freshet.conf:%d: unknown setting \"%.*s\"", number,
		         (int) name_length, name);
		return false;
	}
	at++;
	at += strspn(at, " \t");
	if (*at == '\'')
	{
		value = ++at;
		for (;; at++)
		{
			if (*at == '\0' || *at == '\n')
			{
				snprintf(problem, CONFIG_PROBLEM, "freshet.conf:%d: quoted value has no end",
				         number);
				return false;
			}
			if (*at == '\'' && *++at != '\'')
				break;
			value[length++] = *at;
		}
		at += strspn(at, blanks);
		if (*at != '\0' && *at != '#')
		{
			snprintf(problem, CONFIG_PROBLEM, "freshet.conf:%d: text after the quoted value",
			         number);
			return false;
		}
	}
	else
	{
		value = at;
		length = strcspn(value, "#\r\n");
		while (length > 0 && strchr(blanks, value[length - 1]) != NULL)
			length--;
	}
	give(given, setting, value, length);
	return true;
}

/* DIR/freshet.conf, if it is there. */
static bool
read_file(Given *given, const char *directory, char *problem)
{
	char path[4096];
	FILE *file;
	char *line = NULL;
	size_t room = 0;
	int number = 0;
	bool good = true;

	snprintf(path, sizeof path, "%s/freshet.conf", directory);
	file = fopen(path, "r");
	if (file == NULL)
	{
		if (errno == ENOENT || errno == ENOTDIR)
			return true;
		snprintf(problem, CONFIG_PROBLEM, "could not read \"%.400s\": %s", path, strerror(errno));
		return false;
	}
	while (good && getline(&line, &room, file) >= 0)
		good = read_line(given, line, ++number, problem);
	free(line);
	fclose(file);
	return good;
}

/* A whole number between two bounds. */
static bool
read_number(const char *text, int least, int most, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
		return false;
	*number = (int) value;
	return true;
}

/* Which doors trust. */
static bool
settle_doors(Config *config, char *problem)
{
	static const char *const names[DOOR_COUNT] = {[DOOR_POSTGRES] = "postgres",
	                                              [DOOR_MATERIALIZE] = "materialize",
	                                              [DOOR_CRATEDB] = "cratedb",
	                                              [DOOR_DATABEND] = "databend"};
	char **doors = list_split(config->trusted_doors, ", ");
	bool good = true;

	for (size_t i = 0; good && doors[i] != NULL; i++)
	{
		int door = 0;

		while (door < DOOR_COUNT && strcmp(doors[i], names[door]) != 0)
			door++;
		if (door < DOOR_COUNT)
			config->trusting[door] = true;
		else if (strcmp(doors[i], "native") == 0)
			config->trusting_native = true;
		else
		{
			snprintf(problem, CONFIG_PROBLEM, "trusted_doors: there is no door \"%.64s\"",
			         doors[i]);
			good = false;
		}
	}
	list_free(doors);
	return good;
}

/* Put the texts where they belong and check them. */
static bool
settle(Config *config, Given *given, char *problem)
{
	size_t i;

	for (i = 0; i < SETTING_COUNT; i++)
	{
		const Setting *setting = &settings[i];
		const char *value = given->value[i] ? given->value[i] : setting->value;
		char *field = (char *) config + setting->offset;
		int least = setting->kind == SETTING_PORT ? 0 : 1;
		int most = setting->kind == SETTING_PORT ? 65535 : 100000;

		if (setting->kind == SETTING_TEXT)
			*(char **) field = value ? copy_string(value) : NULL;
		else if (setting->kind == SETTING_SWITCH)
		{
			*(bool *) field = strcmp(value, "on") == 0;
			if (*(bool *) field || strcmp(value, "off") == 0)
				continue;
			snprintf(problem, CONFIG_PROBLEM, "invalid value \"%s\" of %s: expected on or off",
			         value, setting->name);
			return false;
		}
		else if (!read_number(value, least, most, (int *) field))
		{
			snprintf(problem, CONFIG_PROBLEM,
			         "invalid value \"%s\" of %s: expected a number from %d to %d", value,
			         setting->name, least, most);
			return false;
		}
		if ((setting->flags & SETTING_UNBUILT) && given->value[i] != NULL && *(int *) field != 0)
			config->unbuilt_door_asked_for = true;
	}
	if ((config->tls_cert == NULL) != (config->tls_key == NULL))
	{
		snprintf(problem, CONFIG_PROBLEM, "tls_cert and tls_key must be given together");
		return false;
	}
	config->listen_list = list_split(config->listen, ", ");
	config->trusted_role_list = list_split(config->trusted_roles, ", ");
	if (!settle_doors(config, problem))
		return false;
	config->alias_list = list_aliases(config->database_aliases, &config->alias_count);
	if (config->listen_list[0] == NULL)
	{
		snprintf(problem, CONFIG_PROBLEM, "listen names no address");
		return false;
	}
	return true;
}

/*
 * Read all settings; `rest` becomes the index of the first argument that is no
 * flag of ours (with others_follow an unknown flag is such an argument too). On
 * failure `problem` says why in one line.
 */
bool
config_read(Config *config, int argument_count, char **arguments, bool others_follow, int *rest,
            char problem[CONFIG_PROBLEM])
{
	int data = find_setting("data", 4, false);
	Given given = {{NULL}};
	bool good;
	size_t i;

	memset(config, 0, sizeof *config);
	good = read_flags(&given, argument_count, arguments, others_follow, rest, problem);
	if (good)
	{
		read_environment(&given);
		if (given.value[data] == NULL || given.value[data][0] == '\0')
		{
			snprintf(problem, CONFIG_PROBLEM, "no data directory: give --data DIR");
			good = false;
		}
	}
	good = good && read_file(&given, given.value[data], problem) && settle(config, &given, problem);
	for (i = 0; i < SETTING_COUNT; i++)
		free(given.value[i]);
	if (!good)
		config_free(config);
	return good;
}

/* Free all settings. */
void
config_free(Config *config)
{
	size_t i;

	for (i = 0; i < SETTING_COUNT; i++)
		if (settings[i].kind == SETTING_TEXT)
			free(*(char **) ((char *) config + settings[i].offset));
	list_free(config->listen_list);
	list_free(config->trusted_role_list);
	list_free_aliases(config->alias_list, config->alias_count);
}

/* The flags, one a line. */
void
config_print_help(void)
{
	size_t i;

	for (i = 0; i < SETTING_COUNT; i++)
	{
		char flag[64];
		size_t j;

		if (settings[i].flags & SETTING_SECRET)
			continue;
		snprintf(flag, sizeof flag, "--%s %s", settings[i].name,
		         settings[i].kind == SETTING_TEXT ? "TEXT" : "N");
		for (j = 2; flag[j] != '\0'; j++)
			if (flag[j] == '_')
				flag[j] = '-';
		printf("  %-28s %s%s%s%s\n", flag, settings[i].help, settings[i].value ? " (" : "",
		       settings[i].value ? settings[i].value : "", settings[i].value ? ")" : "");
	}
}
