// Statements from standard input, one a line, through pgjdbc; see talkers.py.
import java.io.*;
import java.sql.*;
import java.util.*;

public class Main {
	static Connection connection;
	static boolean driverBlocks;

	static void open(String mode, String port, String schema) throws SQLException {
		if (connection != null)
			connection.close();
		connection = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + port + "/materialize?user=postgres&sslmode=disable"
			+ "&prepareThreshold=2&currentSchema=" + schema + ",public");
		driverBlocks = mode.equals("portals");
		connection.setAutoCommit(!driverBlocks);
	}

	static String run(String[] parts) throws SQLException {
		if (driverBlocks && parts[0].equals("BEGIN"))
			return ",|";
		if (driverBlocks && parts[0].equals("COMMIT")) {
			connection.commit();
			return ",|";
		}
		if (driverBlocks && parts[0].equals("ROLLBACK")) {
			connection.rollback();
			return ",|";
		}
		try (PreparedStatement statement = connection.prepareStatement(parts[0].replaceAll("\\$\\d", "?"))) {
			if (driverBlocks)
				statement.setFetchSize(2);
			for (int i = 1; i < parts.length; i++) {
				if (parts[i].matches("-?\\d+"))
					statement.setInt(i, Integer.parseInt(parts[i]));
				else
					statement.setString(i, parts[i]);
			}
			if (!statement.execute())
				return ",|" + statement.getUpdateCount();
			ResultSet rows = statement.getResultSet();
			StringBuilder answer = new StringBuilder();
			int count = rows.getMetaData().getColumnCount();
			for (int i = 1; i <= count; i++)
				answer.append(",").append(rows.getMetaData().getColumnName(i));
			while (rows.next()) {
				answer.append("|");
				for (int i = 1; i <= count; i++)
					answer.append(i > 1 ? "," : "").append(rows.getString(i));
			}
			return answer.toString();
		}
	}

	public static void main(String[] none) throws Exception {
		BufferedReader input = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
		String line;

		while ((line = input.readLine()) != null) {
			String[] parts = line.split("\t");

			if (parts[0].equals("open")) {
				open(parts[1], parts[2], parts[3]);
				continue;
			}
			try {
				System.out.println(run(parts));
			} catch (SQLException error) {
				System.out.println("error " + error.getSQLState());
			} catch (IllegalStateException error) {
				// its own: of a prepared FETCH it remembers that there was no cursor to describe
				System.out.println("error " + error.getMessage());
				connection.close();
			}
		}
	}
}
