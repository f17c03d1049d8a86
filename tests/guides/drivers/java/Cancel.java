import java.sql.DriverManager;
import java.sql.SQLException;

import org.postgresql.PGConnection;

/** A fetch that waits for changes, cancelled from another thread. */
public class Cancel {
	public static void main(String[] args) throws Exception {
		try (var conn = DriverManager.getConnection(args[0])) {
			conn.setAutoCommit(false);
			var statement = conn.createStatement();
			statement.setFetchSize(1);
			var rows = statement.executeQuery("SUBSCRIBE totals");
			for (int changes = 0; changes < 2; changes++)
				rows.next();
			var cancelling = new Thread(() -> {
				try {
					Thread.sleep(200);
					conn.unwrap(PGConnection.class).cancelQuery();
				} catch (Exception e) {
					throw new RuntimeException(e);
				}
			});
			cancelling.start();
			try {
				rows.next();
				System.out.println("there was a change");
			} catch (SQLException e) {
				System.out.println(e.getSQLState());
			}
			cancelling.join();
			conn.rollback();
			var one = conn.createStatement().executeQuery("SELECT 1");
			one.next();
			System.out.println(one.getInt(1));
		}
	}
}
